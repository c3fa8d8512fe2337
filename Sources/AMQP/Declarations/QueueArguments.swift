/// The typed arguments of a queue: RabbitMQ's `x-` arguments.
///
/// An argument that is `nil` is not sent, so the broker's default or a policy decides. ``validate()`` refuses
/// combinations that no broker accepts.
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
    /// `x-dead-letter-routing-key`: the routing key of dead letters; by default the message's own.
    public var deadLetterRoutingKey: String?
    /// `x-dead-letter-strategy`: the guarantee with which the broker passes dead letters on; quorum queues only.
    public var deadLetterStrategy: DeadLetterStrategy?
    /// `x-delivery-limit`: the number of returns after which a quorum queue dead-letters a message; -1 for no limit.
    public var deliveryLimit: Int?
    /// `x-max-priority`: the number of priorities of a classic queue, 1 to 255; quorum queues refuse it.
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
    /// Ignored before RabbitMQ 3.12. Since 4.3 only quorum queues accept it; others refuse it with 406.
    public var consumerTimeout: Duration?
    /// Arguments for which this type has no property; they override those for which it has one.
    ///
    /// They are sent unchanged: ``validate()`` checks only that the broker can read them.
    public var other = FieldTable()

    /// Creates arguments of which none is set: a classic queue, unless the virtual host has another default.
    public init() {}

    /// The arguments of a queue of a kind, with more set in `configure`.
    public init(_ kind: QueueKind, _ configure: (inout QueueArguments) -> Void = { _ in }) {
        self.kind = kind
        configure(&self)
    }
}

extension QueueArguments {
    /// The arguments as they are sent.
    ///
    /// Numbers are sent with 64 bits, which a delay of 2^27 seconds in milliseconds needs. Durations are rounded up to
    /// the broker's unit; ``validate()`` refuses those that aren't multiples of it.
    public var arguments: FieldTable {
        var table = FieldTable(minimumCapacity: 8)
        table[.queueType] = kind.map { .string($0.rawValue) }
        table[.messageTTL] = messageTTL.map { .int64($0.millisecondsRoundedUp) }
        table[.expires] = expires.map { .int64($0.millisecondsRoundedUp) }
        table[.maxLength] = maxLength.map { .int64(Int64($0)) }
        table[.maxLengthBytes] = maxLengthBytes.map { .int64(Int64($0)) }
        table[.overflow] = overflow.map { .string($0.rawValue) }
        table[.deadLetterExchange] = deadLetterExchange.map(FieldValue.string)
        table[.deadLetterRoutingKey] = deadLetterRoutingKey.map(FieldValue.string)
        table[.deadLetterStrategy] = deadLetterStrategy.map { .string($0.rawValue) }
        table[.deliveryLimit] = deliveryLimit.map { .int64(Int64($0)) }
        table[.maxPriority] = maxPriority.map { .int64(Int64($0)) }
        table[.singleActiveConsumer] = singleActiveConsumer.map(FieldValue.bool)
        table[.maxAge] = maxAge.map { .string("\($0.secondsRoundedUp)s") }
        table[.streamMaxSegmentSizeBytes] = streamMaxSegmentSizeBytes.map { .int64(Int64($0)) }
        table[.quorumInitialGroupSize] = quorumInitialGroupSize.map { .int64(Int64($0)) }
        table[.consumerTimeout] = consumerTimeout.map { .int64($0.millisecondsRoundedUp) }
        return table.merging(other)
    }
}

extension QueueArguments {
    /// Throws if no supported broker would accept the arguments, or would accept and then ignore them, before anything
    /// is sent.
    ///
    /// Arguments whose effect depends on the broker's version are not refused here. Sources:
    /// <https://www.rabbitmq.com/docs/quorum-queues>, <https://www.rabbitmq.com/docs/streams> and the checks in
    /// `rabbit_amqqueue.erl`, 3.10 to 4.3.
    ///
    /// - Throws: `invalidArgument`, naming the argument, the reason, and what to do.
    public func validate() throws(AMQPError) {
        try other.validate("The declaration")
        try validateKind()
        try validateDurations()
        try validateNumbers()
        try validateDeadLettering()
    }

    /// The queue's type, if it is set here and not left to the virtual host.
    private var effectiveKind: QueueKind? {
        other[QueueArgumentName.queueType.rawValue]?.stringValue.map(QueueKind.init(rawValue:)) ?? kind
    }

    private func validateKind() throws(AMQPError) {
        guard let kind = effectiveKind, [.classic, .quorum, .stream].contains(kind) else { return }
        for (name, _) in typed {
            guard let argument = QueueArgumentName(rawValue: name), !argument.kinds.contains(kind) else { continue }
            throw invalid(
                argument,
                "is for \(names(argument.kinds)) queues, and this is a \(kind.rawValue) queue",
                advice(argument, kind)
            )
        }
        if kind == .quorum, overflow == .rejectPublishDLX {
            throw invalid(
                .overflow,
                "has no 'reject-publish-dlx' on a quorum queue",
                "Use reject-publish or drop-head."
            )
        }
    }

    private func advice(_ argument: QueueArgumentName, _ kind: QueueKind) -> String {
        switch argument {
        case .maxPriority: "Leave it out; use one queue for each priority, or a classic queue."
        case .messageTTL where kind == .stream, .maxLength where kind == .stream:
            "Leave it out; a stream is bounded by maxAge and maxLengthBytes."
        default: "Leave it out, or choose another type of queue."
        }
    }

    private func validateDurations() throws(AMQPError) {
        try validate(.messageTTL, messageTTL, from: .zero, to: Self.longestExpiry, unit: .milliseconds(1))
        try validate(.expires, expires, from: .milliseconds(1), to: Self.longestExpiry, unit: .milliseconds(1))
        try validate(.consumerTimeout, consumerTimeout, from: .zero, to: Self.longestExpiry, unit: .milliseconds(1))
        try validate(.maxAge, maxAge, from: .seconds(1), to: .seconds(Int32.max), unit: .seconds(1))
    }

    private func validateNumbers() throws(AMQPError) {
        try validate(.maxLength, maxLength, in: 0...Int.max)
        try validate(.maxLengthBytes, maxLengthBytes, in: 0...Int.max)
        try validate(.deliveryLimit, deliveryLimit, in: -1...Int.max)
        try validate(.maxPriority, maxPriority, in: 1...255)
        try validate(.streamMaxSegmentSizeBytes, streamMaxSegmentSizeBytes, in: 1...3_000_000_000)
        try validate(.quorumInitialGroupSize, quorumInitialGroupSize, in: 1...Int.max)
    }

    private func validateDeadLettering() throws(AMQPError) {
        let sent = arguments
        let hasExchange = sent[QueueArgumentName.deadLetterExchange.rawValue] != nil
        if let deadLetterExchange {
            try ShortString.validateName(deadLetterExchange, "The dead-letter exchange's name")
        }
        if let deadLetterRoutingKey {
            try ShortString.validate(deadLetterRoutingKey, "The dead-letter routing key")
            if !hasExchange {
                throw invalid(
                    .deadLetterRoutingKey,
                    "is set, but there is no dead-letter exchange",
                    "Set deadLetterExchange."
                )
            }
        }
        guard deadLetterStrategy == .atLeastOnce else { return }
        if !hasExchange {
            throw invalid(
                .deadLetterStrategy,
                "is set, but there is no dead-letter exchange",
                "Set deadLetterExchange."
            )
        }
        if sent[QueueArgumentName.overflow.rawValue]?.stringValue != QueueOverflow.rejectPublish.rawValue {
            throw invalid(
                .deadLetterStrategy,
                "is at-least-once without the overflow reject-publish, and the broker would fall back to at-most-once",
                "Set overflow to rejectPublish."
            )
        }
    }

    /// The arguments that were set by property.
    private var typed: FieldTable {
        var typed = self
        typed.other = FieldTable()
        return typed.arguments
    }
}

extension QueueArguments {
    /// RabbitMQ accepts no time to live or expiry beyond ten years of 365 days.
    private static let longestExpiry = Duration.seconds(315_360_000)

    private func validate(
        _ argument: QueueArgumentName,
        _ duration: Duration?,
        from shortest: Duration,
        to longest: Duration,
        unit: Duration
    ) throws(AMQPError) {
        guard let duration else { return }
        guard duration >= shortest, duration <= longest else {
            throw invalid(argument, "is \(duration)", "Choose one from \(shortest) to \(longest).")
        }
        let isWhole = duration.components.attoseconds % unit.attosecondsBelowOneSecond == 0
        guard isWhole else {
            throw invalid(argument, "is \(duration), finer than the broker's unit", "Choose a multiple of \(unit).")
        }
    }

    private func validate(_ argument: QueueArgumentName, _ number: Int?, in range: ClosedRange<Int>) throws(AMQPError) {
        guard let number, !range.contains(number) else { return }
        let bounds =
            range.upperBound == .max
            ? "\(range.lowerBound) or more" : "one from \(range.lowerBound) to \(range.upperBound)"
        throw invalid(argument, "is \(number)", "Choose \(bounds).")
    }

    private func invalid(_ argument: QueueArgumentName, _ what: String, _ advice: String) -> AMQPError {
        AMQPError(.invalidArgument, "Queue argument \(argument.rawValue) \(what). \(advice)")
    }

    private func names(_ kinds: [QueueKind]) -> String {
        kinds.map(\.rawValue).joined(separator: " and ")
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
    /// A log that each consumer reads from an offset of its choice.
    public static let stream = QueueKind(rawValue: "stream")
}

/// The behaviour of a queue that has no room for a message.
public struct QueueOverflow: RawRepresentable, Sendable, Hashable {
    /// The name on the wire.
    public var rawValue: String

    /// A behaviour by its name on the wire.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The oldest message is dropped or dead-lettered.
    public static let dropHead = QueueOverflow(rawValue: "drop-head")
    /// The new message is refused: its publisher gets a nack.
    public static let rejectPublish = QueueOverflow(rawValue: "reject-publish")
    /// The new message is refused and dead-lettered; classic queues only.
    public static let rejectPublishDLX = QueueOverflow(rawValue: "reject-publish-dlx")
}

/// The guarantee with which a quorum queue passes messages to its dead-letter exchange.
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

/// The names of the arguments for which ``QueueArguments`` has properties, and the types of queue that accept them.
enum QueueArgumentName: String {
    case queueType = "x-queue-type"
    case messageTTL = "x-message-ttl"
    case expires = "x-expires"
    case maxLength = "x-max-length"
    case maxLengthBytes = "x-max-length-bytes"
    case overflow = "x-overflow"
    case deadLetterExchange = "x-dead-letter-exchange"
    case deadLetterRoutingKey = "x-dead-letter-routing-key"
    case deadLetterStrategy = "x-dead-letter-strategy"
    case deliveryLimit = "x-delivery-limit"
    case maxPriority = "x-max-priority"
    case singleActiveConsumer = "x-single-active-consumer"
    case maxAge = "x-max-age"
    case streamMaxSegmentSizeBytes = "x-stream-max-segment-size-bytes"
    case quorumInitialGroupSize = "x-quorum-initial-group-size"
    case consumerTimeout = "x-consumer-timeout"

    /// The types that accept the argument on at least one supported version; the others refuse it with 406 on all.
    ///
    /// Source: `capabilities/0` in `rabbit_classic_queue.erl`, `rabbit_quorum_queue.erl` and `rabbit_stream_queue.erl`,
    /// 3.10 to 4.3.
    var kinds: [QueueKind] {
        switch self {
        case .queueType, .maxLengthBytes: [.classic, .quorum, .stream]
        case .deadLetterStrategy, .deliveryLimit, .quorumInitialGroupSize: [.quorum]
        case .maxPriority: [.classic]
        case .maxAge, .streamMaxSegmentSizeBytes: [.stream]
        case .messageTTL, .expires, .maxLength, .overflow, .deadLetterExchange, .deadLetterRoutingKey,
            .singleActiveConsumer, .consumerTimeout:
            [.classic, .quorum]
        }
    }
}

extension FieldTable {
    fileprivate subscript(argument: QueueArgumentName) -> FieldValue? {
        get { self[argument.rawValue] }
        set { self[argument.rawValue] = newValue }
    }
}

extension Duration {
    /// The number of milliseconds, rounded up and clamped to `Int64`.
    fileprivate var millisecondsRoundedUp: Int64 { whole(unitsPerSecond: 1000) }

    /// The number of seconds, rounded up.
    fileprivate var secondsRoundedUp: Int64 { whole(unitsPerSecond: 1) }

    private func whole(unitsPerSecond: Int64) -> Int64 {
        let (seconds, attoseconds) = components
        let unit = 1_000_000_000_000_000_000 / unitsPerSecond
        let part = attoseconds / unit + (attoseconds % unit > 0 ? 1 : 0)
        let (units, tooLarge) = seconds.multipliedReportingOverflow(by: unitsPerSecond)
        let (sum, alsoTooLarge) = units.addingReportingOverflow(part)
        guard tooLarge || alsoTooLarge else { return sum }
        return seconds < 0 ? .min : .max
    }

    /// The unit in attoseconds; a whole second for one second.
    fileprivate var attosecondsBelowOneSecond: Int64 {
        components.seconds > 0 ? 1_000_000_000_000_000_000 : components.attoseconds
    }
}
