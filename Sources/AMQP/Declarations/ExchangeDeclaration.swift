/// The declaration of an exchange: its name, kind and properties.
public struct ExchangeDeclaration: Sendable, Hashable {
    /// The exchange's name, at most 255 bytes.
    public var name: String
    /// The kind, which decides how the exchange selects queues.
    public var kind: ExchangeKind
    /// True if the exchange survives a restart of the broker.
    public var isDurable: Bool
    /// True if the broker deletes the exchange when its last binding is removed.
    public var isAutoDelete: Bool
    /// True if only other exchanges may publish to it.
    public var isInternal: Bool
    /// The exchange that receives the messages this one can't route.
    public var alternateExchange: String?
    /// Arguments for which this type has no property.
    public var otherArguments: FieldTable

    /// Creates a declaration; by default the exchange is durable and is never deleted automatically.
    public init(
        _ name: String,
        kind: ExchangeKind,
        isDurable: Bool = true,
        isAutoDelete: Bool = false,
        isInternal: Bool = false,
        alternateExchange: String? = nil,
        otherArguments: FieldTable = FieldTable()
    ) {
        self.name = name
        self.kind = kind
        self.isDurable = isDurable
        self.isAutoDelete = isAutoDelete
        self.isInternal = isInternal
        self.alternateExchange = alternateExchange
        self.otherArguments = otherArguments
    }

    /// The arguments as they are sent.
    public var arguments: FieldTable {
        var table = FieldTable()
        table["alternate-exchange"] = alternateExchange.map(FieldValue.string)
        return table.merging(otherArguments)
    }
}

extension ExchangeDeclaration {
    /// Throws if no supported broker would accept the declaration, before anything is sent.
    ///
    /// - Throws: `invalidArgument`, naming the exchange, what is wrong with it, and what to do.
    public func validate() throws(AMQPError) {
        guard !name.isEmpty else {
            throw AMQPError(
                .invalidArgument,
                "An exchange without a name can't be declared: that is the default exchange, which always exists. Give it a name."
            )
        }
        try ShortString.validateName(name, "An exchange's name")
        try ShortString.validate(kind.rawValue, "The kind of exchange '\(name)'")
        if let alternateExchange {
            try ShortString.validateName(alternateExchange, "The alternate exchange of exchange '\(name)'")
        }
        try otherArguments.validate("The exchange '\(name)'")
    }
}

extension ExchangeDeclaration {
    /// Returns this declaration with the existing exchange's value, so that declaring it again finds the next
    /// difference.
    ///
    /// - Returns: `nil` if the difference can't be adopted: it concerns another object, or the broker's text was
    ///   truncated or can't be read.
    public func adopting(_ mismatch: DeclarationMismatch) -> ExchangeDeclaration? {
        guard mismatch.object == .exchange, !mismatch.isCut else { return nil }
        var adopted = self
        let text = mismatch.current?.text
        switch mismatch.argument {
        case "type":
            guard let text else { return nil }
            adopted.kind = ExchangeKind(rawValue: text)
        case "durable":
            guard let truth = text.flatMap(Bool.init) else { return nil }
            adopted.isDurable = truth
        case "auto_delete":
            guard let truth = text.flatMap(Bool.init) else { return nil }
            adopted.isAutoDelete = truth
        case "internal":
            guard let truth = text.flatMap(Bool.init) else { return nil }
            adopted.isInternal = truth
        case "alternate-exchange":
            adopted.otherArguments["alternate-exchange"] = nil
            adopted.alternateExchange = text
        default:
            return nil
        }
        return adopted == self ? nil : adopted
    }
}

/// The kind of an exchange, which decides how it selects queues for a message.
public struct ExchangeKind: RawRepresentable, Sendable, Hashable {
    /// The kind's name on the wire.
    public var rawValue: String

    /// A kind by its name on the wire, for kinds that plug-ins add.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Queues whose binding key equals the routing key.
    public static let direct = ExchangeKind(rawValue: "direct")
    /// Every bound queue.
    public static let fanout = ExchangeKind(rawValue: "fanout")
    /// Queues whose binding pattern of words, `*` and `#` matches the routing key.
    public static let topic = ExchangeKind(rawValue: "topic")
    /// Queues whose binding arguments match the message's headers.
    public static let headers = ExchangeKind(rawValue: "headers")
}
