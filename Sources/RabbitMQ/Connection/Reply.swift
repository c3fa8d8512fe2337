import AMQP

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
            await slot.wait()
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

    /// Waits until it is filled, at most for a time and regardless of cancellation: for calls that end something, and
    /// so are mostly made in cancelled tasks.
    func waitRegardless(atMost limit: Duration) async {
        // Unstructured, because a child of a cancelled task can't sleep. Ended below.
        let timer = Task {
            try? await Task.sleep(for: limit)
            if !Task.isCancelled { finish(.failure(AMQPError(.deadlineExceeded, "The broker did not answer."))) }
        }
        defer { timer.cancel() }
        _ = await slot.wait()
    }

    /// Fills it unless it is filled already, and returns whether this counts.
    @discardableResult
    func finish(_ result: Result<Value, AMQPError>) -> Bool { slot.finish(result) }
}
