public import AMQP

/// A persistent message in a durable queue, as a journal keeps it.
public struct KeptMessage: Sendable, Hashable {
    /// The queue that has it.
    public var queue: String
    /// Its place in the queue: later messages have higher ones.
    public var position: UInt64
    /// The message.
    public var message: Message
    /// Where it was published to.
    public var destination: Destination
    /// When it expires, as time since 1970; `nil` if never.
    ///
    /// In a stream it is when the message came.
    public var expiry: Duration?
    /// How often it came back, as far as that counts towards a delivery limit.
    public var deliveryCount: Int
    /// How often it came back.
    public var returnCount: Int
    /// Whether the broker wrote its `x-death` headers, and not the publisher.
    public var isDeadLettered: Bool

    /// A message as a journal kept it.
    public init(
        queue: String,
        position: UInt64,
        message: Message,
        destination: Destination,
        expiry: Duration? = nil,
        deliveryCount: Int = 0,
        returnCount: Int = 0,
        isDeadLettered: Bool = false
    ) {
        self.queue = queue
        self.position = position
        self.message = message
        self.destination = destination
        self.expiry = expiry
        self.deliveryCount = deliveryCount
        self.returnCount = returnCount
        self.isDeadLettered = isDeadLettered
    }
}
