extension QueueArguments {
    /// Refuses what no supported broker takes, or takes and then doesn't do, before it is sent.
    ///
    /// What depends on the broker's version is not refused here. Sources: <https://www.rabbitmq.com/docs/quorum-queues>,
    /// <https://www.rabbitmq.com/docs/streams> and the checks in `rabbit_amqqueue.erl`, 3.10 to 4.3.
    ///
    /// - Throws: `invalidArgument`: which argument, why, and what to do.
    public func validate() throws(AMQPError) {
        for (name, _) in other { try ShortString.validate(name, "The name of a queue argument") }
        try validateKind()
        try validateDurations()
        try validateNumbers()
        try validateDeadLettering()
    }

    /// The queue's type, if it is said here and not left to the virtual host.
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
                    "is set and there is no dead-letter exchange",
                    "Set deadLetterExchange."
                )
            }
        }
        guard deadLetterStrategy == .atLeastOnce else { return }
        if !hasExchange {
            throw invalid(.deadLetterStrategy, "is set and there is no dead-letter exchange", "Set deadLetterExchange.")
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
    /// RabbitMQ takes no time to live or expiry beyond ten years of 365 days.
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

extension Duration {
    /// The unit in attoseconds; a whole second for one second.
    fileprivate var attosecondsBelowOneSecond: Int64 {
        components.seconds > 0 ? 1_000_000_000_000_000_000 : components.attoseconds
    }
}
