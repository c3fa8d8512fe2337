/// How many messages have gone through an ``EmbeddedBroker`` since it began, as RabbitMQ's `message_stats` count them.
///
/// They only grow, and end with the process. What is in a queue now, ask the queue.
public struct BrokerTotals: Sendable, Hashable {
    /// Messages that clients published to an exchange that exists, whatever became of them there.
    public var published = 0
    /// Deliveries, to consumers and to gets.
    public var delivered = 0
    /// Those of the deliveries that may have been made before.
    public var redelivered = 0
    /// Deliveries that were acknowledged.
    public var acknowledged = 0
    /// Deliveries that were given back to their queue, or lost with their channel, also where the queue then found that it was too often.
    ///
    /// RabbitMQ doesn't count them.
    public var requeued = 0

    init() {}
}
