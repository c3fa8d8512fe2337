import AMQP
import Synchronization

/// Notices that a lane's consumer has had nothing for a while, and ends it, so that it is made anew.
///
/// Some brokers keep a consumer that is dead, and nothing tells: see ``BrokerFeatures/mayKeepDeadConsumers``.
final class StaleConsumerMonitor: Sendable {
    /// How long a consumer may be without deliveries, while the worker has nothing to do.
    static let patience = Duration.seconds(30)

    private struct State: Sendable {
        var stream: DeliveryStream?
        var isSilent = false
        var isDue = false
    }

    private let state = Mutex(State())

    /// Whether the consumer is being ended: what still comes from it is to be handed back.
    var isDue: Bool { state.withLock { $0.isDue } }

    func began(_ stream: DeliveryStream) { state.withLock { $0 = State(stream: stream) } }

    func delivered() { state.withLock { $0.isSilent = false } }

    func ended() { state.withLock { $0 = State() } }

    /// Ends the consumer if it had nothing since this was last called.
    func check() async {
        let silent: DeliveryStream? = state.withLock { state in
            guard state.isSilent, !state.isDue, state.stream != nil else {
                state.isSilent = true
                return nil
            }
            state.isDue = true
            return state.stream
        }
        await silent?.cancel()
    }

    /// The worker has something to do: silence means nothing now.
    func excuse() { state.withLock { $0.isSilent = false } }
}
