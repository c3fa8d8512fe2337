import AMQP
import Synchronization

/// What one caller waits for: a slot that the broker's answer, a deadline, the connection's end and the caller's cancellation may each
/// fill.
///
/// The first one counts.
final class Reply<Value: Sendable>: Sendable {
    private typealias Waiter = CheckedContinuation<Result<Value, AMQPError>, Never>

    /// The result is apart from the flag, so that looking whether there is one doesn't copy it.
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

    /// True once ``markSent()`` was called: what it waits for has been sent.
    var wasSent: Bool { state.withLock(\.wasSent) }

    /// Notes that what it waits for is sent: from now on its outcome may be unknown.
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

    /// Waits until it is filled, or the deadline passes, which fills it with `late`.
    ///
    /// For what is asked seldom: it costs a timer.
    func value(
        until deadline: ContinuousClock.Instant,
        late: @autoclosure @escaping @Sendable () -> AMQPError,
        cancelled: @autoclosure @escaping @Sendable () -> AMQPError
    ) async throws(AMQPError) -> Value {
        // Unstructured, because the connection's thread, which watches deadlines too, may be in the midst of connecting; ended below.
        let timer = Task {
            try? await Task.sleep(until: deadline, clock: .continuous)
            if !Task.isCancelled { finish(.failure(late())) }
        }
        defer { timer.cancel() }
        return try await value(cancelled: cancelled())
    }

    /// Fills it, if it isn't filled yet.
    func finish(_ result: Result<Value, AMQPError>) {
        let waiter = state.withLock { state -> Waiter? in
            guard !state.isDone else { return nil }
            state.isDone = true
            // Whoever waits already gets it handed over; only one who comes later has to find it here.
            if state.waiter == nil { state.result = result }
            return state.waiter.take()
        }
        waiter?.resume(returning: result)
    }
}
