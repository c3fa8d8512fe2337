import AMQP

/// RabbitMQ's rules for the declaration of a queue: valid arguments for a new queue, and equivalence with an existing
/// one.
///
/// Sources: `check_declare_arguments/2` in `rabbit_amqqueue.erl` and the capabilities of the queue types, 3.10 to 4.3;
/// tried.
struct QueueDeclarationRules {
    private enum Rule {
        case positive
        case expiry
        case natural
        case priority
        case segmentSize
        case text
        case truth
        case oneOf([String])
        case deadLetterKey
        case maxAge
        /// Any value, but only for some types of queue.
        case anything
    }

    /// The longest time that RabbitMQ accepts, in milliseconds: ten years of 365 days.
    private static let longestExpiry: Int64 = 315_360_000_000
    /// The largest segment file of a stream, in bytes.
    private static let largestSegment: Int64 = 3_000_000_000

    private static let rules: [(name: String, rule: Rule)] = [
        ("x-expires", .positive),
        ("x-message-ttl", .expiry),
        ("x-dead-letter-exchange", .text),
        ("x-dead-letter-routing-key", .deadLetterKey),
        ("x-dead-letter-strategy", .oneOf(["at-most-once", "at-least-once"])),
        ("x-max-length", .natural),
        ("x-max-length-bytes", .natural),
        ("x-max-in-memory-length", .natural),
        ("x-max-in-memory-bytes", .natural),
        ("x-max-priority", .priority),
        ("x-overflow", .oneOf(["drop-head", "reject-publish", "reject-publish-dlx"])),
        ("x-queue-mode", .oneOf(["default", "lazy"])),
        ("x-single-active-consumer", .truth),
        ("x-queue-type", .oneOf(["classic", "quorum", "stream"])),
        ("x-quorum-initial-group-size", .positive),
        ("x-max-age", .maxAge),
        ("x-stream-max-segment-size-bytes", .segmentSize),
        ("x-initial-cluster-size", .natural),
        ("x-queue-leader-locator", .oneOf(["client-local", "balanced", "random", "least-leaders"])),
        ("x-delivery-limit", .anything),
        ("x-consumer-timeout", .natural),
    ]

    /// The arguments that a declaration must share with an existing queue, in the order of RabbitMQ's comparison.
    fileprivate static let comparedArguments = [
        "x-expires", "x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy",
        "x-max-length", "x-max-length-bytes", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-max-priority",
        "x-overflow", "x-delivery-limit", "x-queue-mode", "x-queue-version", "x-single-active-consumer",
        "x-max-age", "x-stream-max-segment-size-bytes", "x-quorum-initial-group-size",
        "x-initial-cluster-size", "x-queue-leader-locator",
    ]

    private let declaration: QueueDeclaration
    private let arguments: FieldTable
    private let features: BrokerFeatures

    init(_ declaration: QueueDeclaration, _ arguments: FieldTable, _ features: BrokerFeatures) {
        self.declaration = declaration
        self.arguments = arguments
        self.features = features
    }

    /// Throws the first violation of a rule.
    func check() throws(BrokerRefusal) {
        if let exchange = arguments["x-dead-letter-exchange"], exchange.stringValue == nil {
            throw .precondition(
                "invalid type '\(exchange.typeName)' for arg 'x-dead-letter-exchange' in queue '\(declaration.name)' in vhost '/'"
            )
        }
        try check("x-queue-type", .oneOf(["classic", "quorum", "stream"]))
        let kind = arguments["x-queue-type"]?.stringValue.map(QueueKind.init(rawValue:)) ?? .classic
        for (name, _) in Self.rules where arguments[name] != nil && !isAllowed(name, for: kind) {
            throw .precondition(
                "invalid arg '\(name)' for queue '\(declaration.name)' in vhost '/' of queue type rabbit_\(kind.rawValue)_queue"
            )
        }
        for (name, rule) in Self.rules {
            if name == "x-consumer-timeout", features.consumerTimeoutArgument(of: kind) != .obeyed { continue }
            try check(name, rule)
        }
        try checkProperties(kind)
    }

    private func check(_ name: String, _ rule: Rule) throws(BrokerRefusal) {
        guard let value = arguments[name], let fault = fault(of: value, rule, name) else { return }
        throw .invalidArgument(name, ofQueue: declaration.name, fault)
    }

    private func checkProperties(_ kind: QueueKind) throws(BrokerRefusal) {
        guard kind != .classic else { return }
        let wrong: String? =
            if !declaration.isDurable {
                "non-durable"
            } else if declaration.isExclusive {
                "exclusive-owner"
            } else if declaration.isAutoDelete {
                "auto-delete"
            } else {
                nil
            }
        guard let wrong else { return }
        throw .precondition("invalid property '\(wrong)' for queue '\(declaration.name)' in vhost '/'")
    }

    private func isAllowed(_ name: String, for kind: QueueKind) -> Bool {
        switch name {
        case "x-max-priority", "x-queue-mode": return kind == .classic
        case "x-dead-letter-strategy", "x-delivery-limit", "x-quorum-initial-group-size": return kind == .quorum
        case "x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size": return kind == .stream
        case "x-consumer-timeout": return features.consumerTimeoutArgument(of: kind) != .refused
        case "x-message-ttl", "x-expires", "x-max-length", "x-overflow", "x-dead-letter-exchange",
            "x-dead-letter-routing-key", "x-single-active-consumer":
            return kind != .stream
        default: return true
        }
    }

    private func fault(of value: FieldValue, _ rule: Rule, _ name: String) -> String? {
        switch rule {
        case .positive: return integerFault(value) ?? (value.integerValue == 0 ? "{value_zero,0}" : expiryFault(value))
        case .expiry: return integerFault(value) ?? expiryFault(value)
        case .natural: return integerFault(value)
        case .priority:
            if let fault = integerFault(value) { return fault }
            guard let number = value.integerValue, number > 255 else { return nil }
            return "{max_value_exceeded,\(number)}"
        case .segmentSize:
            if let fault = integerFault(value) { return fault }
            guard let number = value.integerValue, number > Self.largestSegment else { return nil }
            return "{value_too_large,\(number)}"
        case .text: return value.stringValue == nil ? unacceptableType(value) : nil
        case .truth: return value.boolValue == nil ? unacceptableType(value) : nil
        case .deadLetterKey:
            if value.stringValue == nil { return unacceptableType(value) }
            return arguments["x-dead-letter-exchange"] == nil ? "routing_key_but_no_dlx_defined" : nil
        case .oneOf(let words):
            guard let text = value.stringValue else { return unacceptableType(value) }
            return words.contains(text) ? nil : unknownWord(text, name)
        case .anything: return nil
        case .maxAge:
            guard let text = value.stringValue else { return unacceptableType(value) }
            let isWhole = text.dropLast().allSatisfy(\.isWholeNumber) && text.count > 1
            let isSome = text.dropLast().contains { $0 != "0" }
            return isWhole && isSome && "YMDhms".contains(text.suffix(1)) ? nil : "invalid_max_age"
        }
    }

    private func integerFault(_ value: FieldValue) -> String? {
        if case .timestamp = value { return "\"expected integer, got timestamp\"" }
        guard let number = value.integerValue else { return "\"expected integer, got \(value.typeName)\"" }
        return number < 0 ? "{value_negative,\(number)}" : nil
    }

    private func expiryFault(_ value: FieldValue) -> String? {
        guard let number = value.integerValue, number > Self.longestExpiry else { return nil }
        return "{value_too_large,\(number)}"
    }

    private func unknownWord(_ text: String, _ name: String) -> String {
        switch name {
        case "x-overflow": "invalid_overflow"
        case "x-dead-letter-strategy": "invalid_dlx_strategy"
        case "x-queue-leader-locator": "invalid_queue_locator_arg"
        case "x-queue-mode": "\"unsupported queue mode '\(text)'\""
        default: "\"unsupported queue type '\(text)'\""
        }
    }

    private func unacceptableType(_ value: FieldValue) -> String { "{unacceptable_type,\(value.typeName)}" }
}

extension MessageQueue {
    /// Throws the first difference between this queue and a declaration of it, as RabbitMQ does.
    func checkEquivalence(
        with other: QueueDeclaration,
        _ received: FieldTable,
        by connection: ConnectionID,
        _ features: BrokerFeatures
    ) throws(BrokerRefusal) {
        guard owner == (other.isExclusive ? connection : nil) else { throw .locked(name) }
        if other.isDurable != declaration.isDurable {
            throw .inequivalent(
                "durable",
                .queue,
                name,
                received: "'\(other.isDurable)'",
                current: "'\(declaration.isDurable)'"
            )
        }
        if other.isAutoDelete != declaration.isAutoDelete {
            throw .inequivalent(
                "auto_delete",
                .queue,
                name,
                received: "'\(other.isAutoDelete)'",
                current: "'\(declaration.isAutoDelete)'"
            )
        }
        let key = "x-queue-type"
        var kinds = (received: received[key], current: arguments[key])
        if features.namesDefaultQueueType || [kinds.received, kinds.current].contains(.string("classic")) {
            kinds = (kinds.received ?? "classic", kinds.current ?? "classic")
        }
        try ArgumentComparison(received: kinds.received, current: kinds.current).check(key, .queue, name)
        for argument in QueueDeclarationRules.comparedArguments {
            try ArgumentComparison(received: received[argument], current: arguments[argument])
                .check(argument, .queue, name)
        }
    }
}
