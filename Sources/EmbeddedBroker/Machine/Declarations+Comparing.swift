import AMQP

extension Exchange {
    /// Throws what differs between this exchange and a declaration of it, the first difference only, as RabbitMQ does.
    func checkIsAlike(_ other: ExchangeDeclaration) throws(Refusal) {
        func check(_ argument: String, _ received: String, _ current: String) throws(Refusal) {
            if received == current { return }
            throw .inequivalent(argument, .exchange, name, received: "'\(received)'", current: "'\(current)'")
        }
        try check("type", other.kind.rawValue, kind.rawValue)
        try check("durable", "\(other.isDurable)", "\(declaration.isDurable)")
        try check("auto_delete", "\(other.isAutoDelete)", "\(declaration.isAutoDelete)")
        try check("internal", "\(other.isInternal)", "\(declaration.isInternal)")
        let key = "alternate-exchange"
        try ArgumentComparison(received: other.arguments[key], current: declaration.arguments[key])
            .check(key, .exchange, name)
    }
}

extension MessageQueue {
    /// Throws what differs between this queue and a declaration of it, the first difference only, as RabbitMQ does.
    func checkIsAlike(
        _ other: QueueDeclaration,
        _ received: FieldTable,
        by connection: ConnectionID,
        _ features: BrokerFeatures
    ) throws(Refusal) {
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
        for argument in QueueCheck.comparedArguments {
            try ArgumentComparison(received: received[argument], current: arguments[argument])
                .check(argument, .queue, name)
        }
    }
}

/// One argument as it was declared and as it is.
private struct ArgumentComparison {
    var received: FieldValue?
    var current: FieldValue?

    func check(_ argument: String, _ object: DeclarationMismatch.Object, _ name: String) throws(Refusal) {
        switch (received, current) {
        case (nil, nil): return
        case (let received?, let current?):
            if received.isAlike(current) { return }
            throw .inequivalent(
                argument,
                object,
                name,
                received: "'\(received.shown)'",
                current: "'\(current.shown)'"
            )
        default:
            throw .inequivalent(argument, object, name, received: typed(received), current: typed(current))
        }
    }

    private func typed(_ value: FieldValue?) -> String {
        value.map { "the value '\($0.shown)' of type '\($0.typeName)'" } ?? "none"
    }
}

extension FieldValue {
    /// The value as the broker's texts show it.
    var shown: String {
        switch self {
        case .string(let text): text
        case .bool(let truth): "\(truth)"
        case .float(let number): "\(number)"
        case .double(let number): "\(number)"
        default: integerValue.map { "\($0)" } ?? typeName
        }
    }
}

extension Binding {
    /// Throws if a topic exchange takes no pattern with so many `#`.
    func checkPattern(_ features: BrokerFeatures) throws(Refusal) {
        guard let most = features.maximumHashesInPattern else { return }
        let count = routingKey.split(separator: ".").count { $0 == "#" }
        if count > most {
            throw .precondition(
                "Topic binding key '\(routingKey)' uses \(count) '#' wildcards, at most \(most) are allowed"
            )
        }
    }

    /// Throws if a headers exchange can't read the binding's arguments.
    func checkHeadersMatch(_ features: BrokerFeatures) throws(Refusal) {
        guard let mode = arguments["x-match"] else { return }
        guard let text = mode.stringValue else {
            throw .precondition("Invalid x-match field type \(mode.typeName) (value \(mode.shown)); expected longstr")
        }
        if HeadersPattern.Mode(rawValue: text) == nil {
            throw .precondition(
                "Invalid x-match field value <<\"\(text)\">>; expected all, any, all-with-x, or any-with-x"
            )
        }
    }
}
