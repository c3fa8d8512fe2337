import AMQP
import Synchronization

/// The state of a reply, for an object that holds one: see ``Reply``.
struct ReplySlot<Value: Sendable>: ~Copyable, Sendable {
    typealias Waiter = UnsafeContinuation<Result<Value, AMQPError>, Never>

    /// The flag is separate from the result, so that checking for a result doesn't copy it.
    ///
    /// Not private, because Swift 6.3 then fails to compile its use from another file in a debug build.
    @safe struct State {
        var isDone = false
        var result: Result<Value, AMQPError>?
        /// Resumed exactly once: whoever sets `isDone` takes it.
        var waiter: Waiter?
    }

    private let state = Mutex(State())

    /// True once it is filled.
    var isDone: Bool { state.withLock(\.isDone) }

    /// Waits until it is filled; only one caller may wait.
    func wait() async -> Result<Value, AMQPError> {
        await unsafe withUnsafeContinuation { (waiter: Waiter) in
            let result = state.withLock { state in
                if !state.isDone { unsafe state.waiter = waiter }
                return state.result
            }
            if let result { unsafe waiter.resume(returning: result) }
        }
    }

    /// Fills it unless it is filled already, and returns whether this counts.
    @discardableResult
    func finish(_ result: Result<Value, AMQPError>) -> Bool {
        let (counts, waiter) = unsafe state.withLock { state -> (Bool, Waiter?) in
            guard !state.isDone else { return (false, nil) }
            state.isDone = true
            // A caller that waits already gets the result directly; only one that comes later has to find it here.
            if unsafe state.waiter == nil { state.result = result }
            return unsafe (true, state.waiter.take())
        }
        unsafe waiter?.resume(returning: result)
        return counts
    }
}
