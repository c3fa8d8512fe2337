import AMQP
import Synchronization

/// A consumer, with the count of its running jobs: they need its channel to be settled, so the channel can be closed
/// only when none runs.
final class ConsumerLease: Sendable {
    private struct State: Sendable {
        var running = 0
        var retired: (id: Int, stream: DeliveryStream)?
    }

    /// The circuit breaker's permit; `nil` if the queue has no breaker.
    let permit: QueueBreaker.Permit?
    /// Opens when the broker sends the consumer no more deliveries.
    let ended = Latch()
    /// Opens when the consumer is retired and none of its jobs runs.
    let finished = Latch()
    private let state = Mutex(State())

    /// The consumer, with its number among the worker's, once it is retired.
    var retired: (id: Int, stream: DeliveryStream)? { state.withLock { $0.retired } }

    init(_ permit: QueueBreaker.Permit?) { self.permit = permit }

    func jobBegan() { state.withLock { $0.running += 1 } }

    func jobEnded() {
        let isFinished = state.withLock { state in
            state.running -= 1
            return state.retired != nil && state.running == 0
        }
        if isFinished { finished.open() }
    }

    /// Notes that no more jobs come from the consumer.
    func retire(_ id: Int, _ stream: DeliveryStream) {
        let isFinished = state.withLock { state in
            state.retired = (id, stream)
            return state.running == 0
        }
        if isFinished { finished.open() }
    }
}
