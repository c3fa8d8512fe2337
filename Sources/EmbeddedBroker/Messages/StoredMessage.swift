import AMQP

/// What was published, shared by all queues that hold it.
final class StoredContent: Sendable {
    let message: Message
    let destination: Destination
    /// Further routing keys, of the headers `CC` and `BCC`.
    let otherKeys: [String]
    /// Whether the broker wrote the `x-death` headers.
    let isDeadLettered: Bool

    init(
        _ message: Message,
        to destination: Destination,
        otherKeys: [String] = [],
        isDeadLettered: Bool = false
    ) {
        self.message = message
        self.destination = destination
        self.otherKeys = otherKeys
        self.isDeadLettered = isDeadLettered
    }

    var size: Int { message.body.count }
}

/// A message in a queue, or delivered from it and unsettled.
struct StoredMessage: Sendable {
    /// The position of a message that was never in its queue.
    static let noPosition: UInt64 = 0

    var content: StoredContent
    /// Its place: later messages have higher numbers.
    var position: UInt64
    /// When it expires, as time since 1970; in a stream, when it came.
    var expiry: Duration?
    /// The priority by which the queue sorts it.
    var level: Int = 0
    /// How often it came back and that counted.
    var deliveryCount = 0
    /// How often it came back.
    var returnCount = 0
    /// How often a consumer was lost with it, or discarded it.
    var lossCount = 0

    var isRedelivered: Bool { returnCount > 0 }
}
