import AMQP
import Synchronization

/// What the deliveries of one channel are settled through.
final class EmbeddedSettler: DeliverySettler {
    // Weak: a delivery that somebody keeps doesn't keep the broker.
    private weak let core: BrokerCore?
    private let channel: ChannelID
    private let gone = Atomic(false)

    init(_ core: BrokerCore, _ channel: ChannelID) {
        self.core = core
        self.channel = channel
    }

    var isGone: Bool { gone.load(ordering: .acquiring) }

    /// What is unsettled has gone back to its queue.
    func lose() { gone.store(true, ordering: .releasing) }

    func settle(_ tag: UInt64, _ settlement: DeliverySettlement) {
        if isGone { return }
        core?.perform { $0.machine.settle(tag, on: channel, settlement) }
    }
}
