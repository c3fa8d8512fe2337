/// The arguments of a queue, typed: what RabbitMQ's `x-` arguments say.
///
/// What is `nil` is not sent, so the broker's default or a policy decides. ``validate()`` says which combinations no broker takes.
public struct QueueArguments: Sendable, Hashable {
    /// `x-queue-type`; without it the virtual host's default type, which is classic.
    public var kind: QueueKind?
    /// `x-message-ttl`: how long a message may wait; whole milliseconds, sent as 64 bits.
    public var messageTTL: Duration?
    /// `x-expires`: how long the queue may go unused before the broker deletes it; whole milliseconds.
    public var expires: Duration?
    /// `x-max-length`: how many ready messages the queue holds.
    public var maxLength: Int?
    /// `x-max-length-bytes`: how many bytes of ready bodies the queue holds.
    public var maxLengthBytes: Int?
    /// `x-overflow`: what happens to a message for which there is no room.
    public var overflow: QueueOverflow?
    /// `x-dead-letter-exchange`: where rejected, expired and surplus messages go.
    public var deadLetterExchange: String?
    /// `x-dead-letter-routing-key`: with which routing key; without it, the message's own.
    public var deadLetterRoutingKey: String?
    /// `x-dead-letter-strategy`: how hard the broker tries to get them there; quorum queues only.
    public var deadLetterStrategy: DeadLetterStrategy?
    /// `x-delivery-limit`: after how many returns a quorum queue dead-letters a message; -1 for no limit.
    public var deliveryLimit: Int?
    /// `x-max-priority`: how many priorities a classic queue has, 1 to 255; never sent to a quorum queue, which refuses it.
    public var maxPriority: Int?
    /// `x-single-active-consumer`: one consumer at a time, the others wait.
    public var singleActiveConsumer: Bool?
    /// `x-max-age`: how long a stream keeps messages; whole seconds.
    public var maxAge: Duration?
    /// `x-stream-max-segment-size-bytes`: the size of a stream's files.
    public var streamMaxSegmentSizeBytes: Int?
    /// `x-quorum-initial-group-size`: how many nodes a quorum queue starts on.
    public var quorumInitialGroupSize: Int?
    /// `x-consumer-timeout`: how long a delivery may stay unsettled; whole milliseconds.
    ///
    /// What the broker does with it is a matter of its version: ``BrokerFeatures/consumerTimeoutArgument(of:)``.
    public var consumerTimeout: Duration?
    /// Arguments that have no property of their own here; they win over those that have.
    ///
    /// They are sent as they are: ``validate()`` looks at the length of their names only.
    public var other = FieldTable()

    /// No argument at all: a classic queue, unless the virtual host says otherwise.
    public init() {}

    /// The arguments of a queue of a kind, with more set in `configure`.
    public init(_ kind: QueueKind, _ configure: (inout QueueArguments) -> Void = { _ in }) {
        self.kind = kind
        configure(&self)
    }
}

/// A type of queue.
public struct QueueKind: RawRepresentable, Sendable, Hashable {
    /// The type's name on the wire.
    public var rawValue: String

    /// A type by its name on the wire.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Replicated and durable: survives the loss of a minority of nodes.
    public static let quorum = QueueKind(rawValue: "quorum")
    /// On one node; the only type with `x-max-priority`.
    public static let classic = QueueKind(rawValue: "classic")
    /// A log that every reader reads from where it likes.
    public static let stream = QueueKind(rawValue: "stream")
}

/// What a queue does with a message for which there is no room.
public struct QueueOverflow: RawRepresentable, Sendable, Hashable {
    /// The name on the wire.
    public var rawValue: String

    /// A behaviour by its name on the wire.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The oldest message goes.
    public static let dropHead = QueueOverflow(rawValue: "drop-head")
    /// The new message is refused: its publisher gets a nack.
    public static let rejectPublish = QueueOverflow(rawValue: "reject-publish")
    /// The new message is refused and dead-lettered; classic queues only.
    public static let rejectPublishDLX = QueueOverflow(rawValue: "reject-publish-dlx")
}

/// How hard a quorum queue tries to get a message to its dead-letter exchange.
public struct DeadLetterStrategy: RawRepresentable, Sendable, Hashable {
    /// The name on the wire.
    public var rawValue: String

    /// A strategy by its name on the wire.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Published once, without a confirm.
    public static let atMostOnce = DeadLetterStrategy(rawValue: "at-most-once")
    /// Published until confirmed; needs ``QueueOverflow/rejectPublish``.
    public static let atLeastOnce = DeadLetterStrategy(rawValue: "at-least-once")
}
