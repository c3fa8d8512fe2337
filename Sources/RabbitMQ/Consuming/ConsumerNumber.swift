import Synchronization

/// Which channel a delivery stream reads; known only once the channel is opened, after the stream is made.
final class ConsumerNumber: Sendable {
    let id = Mutex<ChannelID?>(nil)
}
