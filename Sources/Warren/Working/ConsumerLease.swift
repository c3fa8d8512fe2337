import AMQP
import Synchronization

/// How many jobs of one consumer run, so that its channel can be closed when none does: until then they need it to be settled.
///
/// Only queues with a circuit breaker keep it.
final class ConsumerLease: Sendable {
    private struct State: Sendable {
        var running = 0
        var retired: (id: Int, stream: DeliveryStream)?
    }

    let permission: QueueBreaker.Permission
    /// Opens when the broker sends the consumer no more.
    let ended = Latch()
    /// Opens when the consumer is retired and none of its jobs runs.
    let over = Latch()
    private let state = Mutex(State())

    /// The consumer, by its number among the worker's, once it is retired.
    var retired: (id: Int, stream: DeliveryStream)? { state.withLock { $0.retired } }

    init(_ permission: QueueBreaker.Permission) { self.permission = permission }

    func begin() { state.withLock { $0.running += 1 } }

    func end() {
        let isOver = state.withLock { state in
            state.running -= 1
            return state.retired != nil && state.running == 0
        }
        if isOver { over.open() }
    }

    /// No more jobs come from the consumer.
    func retire(_ id: Int, _ stream: DeliveryStream) {
        let isOver = state.withLock { state in
            state.retired = (id, stream)
            return state.running == 0
        }
        if isOver { over.open() }
    }
}
