import AMQP
import Synchronization

/// What one caller waits for: a slot that the broker's answer, a deadline, the connection's end and the caller's
/// cancellation may each fill.
///
/// The first one counts.
final class Reply<Value: Sendable>: Sendable {
    private enum State {
        case new
        case waiting(CheckedContinuation<Result<Value, AMQPError>, Never>)
        case done(Result<Value, AMQPError>)
    }

    private let state = Mutex(State.new)

    init() {}

    /// True once it is filled.
    var isDone: Bool {
        state.withLock { state in
            if case .done = state { true } else { false }
        }
    }

    /// Waits until it is filled.
    ///
    /// If the waiting task is cancelled, `cancelled` fills it.
    func value(cancelled: @autoclosure @escaping @Sendable () -> AMQPError) async throws(AMQPError) -> Value {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let result: Result<Value, AMQPError>? = state.withLock { state in
                    if case .done(let result) = state { return result }
                    state = .waiting(continuation)
                    return nil
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            finish(.failure(cancelled()))
        }
        return try result.get()
    }

    /// Fills it, if it isn't filled yet.
    func finish(_ result: Result<Value, AMQPError>) {
        let waiter = state.withLock { state -> CheckedContinuation<Result<Value, AMQPError>, Never>? in
            defer {
                if case .done = state {} else { state = .done(result) }
            }
            return if case .waiting(let continuation) = state { continuation } else { nil }
        }
        waiter?.resume(returning: result)
    }
}
