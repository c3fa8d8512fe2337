import AMQP
import Synchronization

/// A consumer of a random sequence, with the deliveries that it has received.
struct SequenceConsumer {
    /// The deliveries of a consumer's stream, read by a separate task.
    final class Received: Sendable {
        private struct State {
            var deliveries: [Delivery] = []
            var end: String?
        }

        private let state = Mutex(State())

        /// All deliveries so far, with the description of the stream's end.
        var all: (deliveries: [Delivery], end: String?) { state.withLock { ($0.deliveries, $0.end) } }

        /// Whether the stream has ended after at least one delivery.
        var hasEndedWithDeliveries: Bool { state.withLock { $0.end != nil && !$0.deliveries.isEmpty } }

        /// Reads a stream to its end.
        func read(_ stream: DeliveryStream) async {
            do throws(AMQPError) {
                for try await delivery in stream { state.withLock { $0.deliveries.append(delivery) } }
                state.withLock { $0.end = "ended" }
            } catch {
                state.withLock { $0.end = "ended: \(error.code)" }
            }
        }
    }

    let queue: Int
    let stream: DeliveryStream
    let received = Received()
    /// The deliveries that operations can settle.
    var unsettled: [Delivery] = []
    private(set) var hasEnded = false
    /// The number of received deliveries that were added to ``unsettled``.
    private var acceptedCount = 0

    init(queue: Int, stream: DeliveryStream) {
        self.queue = queue
        self.stream = stream
    }

    /// Makes the received deliveries available to operations, once both brokers agree on them.
    mutating func acceptReceived() {
        let (deliveries, end) = received.all
        unsettled += deliveries[acceptedCount...]
        unsettled.removeAll(where: \.isLost)
        acceptedCount = deliveries.count
        hasEnded = end != nil
    }
}
