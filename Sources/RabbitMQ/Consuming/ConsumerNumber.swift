import Synchronization

/// Which channel a delivery stream reads; known only once the channel is opened, after the stream is made, and another after a recovery.
final class ConsumerNumber: Sendable {
    private let channel = Mutex<ChannelID?>(nil)

    var id: ChannelID? { channel.withLock(\.self) }

    func set(_ id: ChannelID) { channel.withLock { $0 = id } }
}
