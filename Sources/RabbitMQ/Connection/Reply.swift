import AMQP
import Synchronization

/// The result that one caller waits for: a slot that the broker's answer, a deadline, the connection's end, and the
/// caller's cancellation may each fill.
///
/// Only the first counts.
final class Reply<Value: Sendable>: Sendable {
    private let slot = ReplySlot<Value>()

    init() {}

    /// True once it is filled.
    var isDone: Bool { slot.isDone }

    /// Waits until it is filled.
    ///
    /// If the waiting task is cancelled, `cancelled` fills it.
    func value(cancelled: @autoclosure @escaping @Sendable () -> AMQPError) async throws(AMQPError) -> Value {
        let result = await withTaskCancellationHandler {
            await unsafe withUnsafeContinuation { unsafe slot.resume($0) }
        } onCancel: {
            finish(.failure(cancelled()))
        }
        return try result.get()
    }

    /// Waits until it is filled, at most until the deadline, which fills it with `late`.
    ///
    /// For infrequent requests only, since it costs a timer.
    func value(
        until deadline: ContinuousClock.Instant,
        late: @autoclosure @escaping @Sendable () -> AMQPError,
        cancelled: @autoclosure @escaping @Sendable () -> AMQPError
    ) async throws(AMQPError) -> Value {
        // Unstructured, because the connection's thread, which also enforces deadlines, may be busy connecting. Ended
        // below.
        let timer = Task {
            try? await Task.sleep(until: deadline, clock: .continuous)
            if !Task.isCancelled { finish(.failure(late())) }
        }
        defer { timer.cancel() }
        return try await value(cancelled: cancelled())
    }

    /// Fills it unless it is filled already.
    func finish(_ result: Result<Value, AMQPError>) { slot.finish(result) }
}

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

    /// Resumes the one caller that waits once it is filled, which may be now.
    func resume(_ waiter: Waiter) {
        let result = state.withLock { state in
            if !state.isDone { unsafe state.waiter = waiter }
            return state.result
        }
        if let result { unsafe waiter.resume(returning: result) }
    }

    /// Fills it unless it is filled already.
    func finish(_ result: Result<Value, AMQPError>) {
        let waiter = unsafe state.withLock { state -> Waiter? in
            guard !state.isDone else { return nil }
            state.isDone = true
            // A caller that waits already gets the result directly; only one that comes later has to find it here.
            if unsafe state.waiter == nil { state.result = result }
            return unsafe state.waiter.take()
        }
        unsafe waiter?.resume(returning: result)
    }
}
