/// The uncommon properties of a consumer.
public struct ConsumeOptions: Sendable, Hashable {
    /// The consumer's arguments, such as `x-stream-offset` or `x-priority`.
    public var arguments: FieldTable
    /// The name of the consumer, as an operator sees it, at most 255 bytes; if it is empty, the broker makes one.
    public var consumerTag: String
    /// True if nobody else may consume the queue meanwhile.
    ///
    /// The broker refuses it (`accessRefused`) if somebody does. Only classic queues enforce it (tried with 3.10.8).
    public var isExclusive: Bool
    /// True if the broker takes each message as acknowledged when it sends it (`no-ack`).
    ///
    /// Such a message is lost if this program dies before it has worked on it, and settling it does nothing. The
    /// prefetch has no effect, so what the program hasn't read yet waits in its memory without a bound. Streams refuse
    /// it.
    public var isAutomaticallyAcknowledged: Bool
    /// True if the consumer gets a separate connection.
    ///
    /// A broker may close the connection of a consumer that it can't register, as RabbitMQ does for a quorum queue
    /// without a leader, and then redelivers what all consumers of that connection hold. One with a separate connection
    /// harms nobody. It costs the broker a connection and the program a thread, and can't consume this client's
    /// exclusive queues.
    public var isIsolated: Bool

    /// Creates options; by default none is set.
    public init(
        arguments: FieldTable = FieldTable(),
        consumerTag: String = "",
        isExclusive: Bool = false,
        isAutomaticallyAcknowledged: Bool = false,
        isIsolated: Bool = false
    ) {
        self.arguments = arguments
        self.consumerTag = consumerTag
        self.isExclusive = isExclusive
        self.isAutomaticallyAcknowledged = isAutomaticallyAcknowledged
        self.isIsolated = isIsolated
    }

    /// Throws if AMQP can't send the options.
    ///
    /// - Parameter queue: The queue, for the error message.
    /// - Throws: `invalidArgument`, naming what can't be sent.
    package func validate(for queue: String) throws(AMQPError) {
        try ShortString.validate(queue, "The name of the queue to consume")
        try ShortString.validate(consumerTag, "The tag of the consumer of the queue '\(queue)'")
        try arguments.validate("The consumer of the queue '\(queue)'")
    }
}
