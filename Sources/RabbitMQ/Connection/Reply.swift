import AMQP
import Synchronization

/// The result that one caller waits for: a slot that the broker's answer, a deadline, the connection's end, and the
/// caller's cancellation may each fill.
///
/// Only the first counts.
final class Reply<Value: Sendable>: Sendable {
    private typealias Waiter = CheckedContinuation<Result<Value, AMQPError>, Never>

    /// The flag is separate from the result, so that checking for a result doesn't copy it.
    private struct State {
        var isDone = false
        var wasSent = false
        var result: Result<Value, AMQPError>?
        var waiter: Waiter?
    }

    private let state = Mutex(State())

    init() {}

    /// True once it is filled.
    var isDone: Bool { state.withLock(\.isDone) }

    /// True once ``markSent()`` has been called.
    var wasSent: Bool { state.withLock(\.wasSent) }

    /// Records that the request was sent: from now on its outcome may be unknown.
    func markSent() { state.withLock { $0.wasSent = true } }

    /// Waits until it is filled.
    ///
    /// If the waiting task is cancelled, `cancelled` fills it.
    func value(cancelled: @autoclosure @escaping @Sendable () -> AMQPError) async throws(AMQPError) -> Value {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                let result = state.withLock { state in
                    if !state.isDone { state.waiter = waiter }
                    return state.result
                }
                if let result { waiter.resume(returning: result) }
            }
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
    func finish(_ result: Result<Value, AMQPError>) {
        let waiter = state.withLock { state -> Waiter? in
            guard !state.isDone else { return nil }
            state.isDone = true
            // A caller that waits already gets the result directly; only one that comes later has to find it here.
            if state.waiter == nil { state.result = result }
            return state.waiter.take()
        }
        waiter?.resume(returning: result)
    }
}
