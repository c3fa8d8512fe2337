import AMQP
import Synchronization

/// Ends the consumer of a lane that has delivered nothing for a while, so that its reader replaces it.
///
/// Some brokers keep a dead consumer without reporting it: see ``BrokerFeatures/mayKeepDeadConsumers``.
final class StaleConsumerMonitor: Sendable {
    /// The time between two checks: a consumer without deliveries over one whole interval, in an idle worker, is stale.
    static let interval = Duration.seconds(30)

    private struct State: Sendable {
        var stream: DeliveryStream?
        var isIdle = false
        var isStale = false
    }

    private let state = Mutex(State())

    /// True while a stale consumer is being ended: what it still delivers is to be requeued.
    var isStale: Bool { state.withLock { $0.isStale } }

    func watch(_ stream: DeliveryStream) { state.withLock { $0 = State(stream: stream) } }

    func stopWatching() { state.withLock { $0 = State() } }

    func noteDelivery() { state.withLock { $0.isIdle = false } }

    /// Ends the consumer if it has delivered nothing since the last check.
    func check() async {
        let stale: DeliveryStream? = state.withLock { state in
            guard state.isIdle, !state.isStale, state.stream != nil else {
                state.isIdle = true
                return nil
            }
            state.isStale = true
            return state.stream
        }
        await stale?.cancel()
    }

    /// Starts over, because a busy worker's consumer may well have nothing to deliver.
    func reset() { state.withLock { $0.isIdle = false } }
}
