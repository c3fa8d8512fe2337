/// What the broker says of a queue when it is declared or asked for.
public struct QueueStatus: Sendable, Hashable {
    /// The queue's name; the broker makes one up for a declaration without.
    public var name: String
    /// How many messages are ready for delivery, not counting those delivered and unsettled.
    public var messageCount: Int
    /// How many consumers the queue has.
    public var consumerCount: Int

    /// A status as the broker reports it.
    public init(name: String, messageCount: Int, consumerCount: Int) {
        self.name = name
        self.messageCount = messageCount
        self.consumerCount = consumerCount
    }
}
