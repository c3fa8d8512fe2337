/// A rule by which an exchange routes messages to a queue or to another exchange.
public struct Binding: Sendable, Hashable {
    /// The target of a binding.
    public enum Target: Sendable, Hashable {
        /// The queue of this name.
        case queue(String)
        /// The exchange of this name.
        case exchange(String)
    }

    /// The exchange that routes messages.
    public var source: String
    /// The queue or exchange that receives them.
    public var target: Target
    /// The key or pattern that a message's routing key must match, at most 255 bytes.
    public var routingKey: String
    /// The arguments, which a headers exchange matches.
    public var arguments: FieldTable

    /// A binding from an exchange to a queue or exchange.
    public init(from source: String, to target: Target, routingKey: String, arguments: FieldTable = FieldTable()) {
        self.source = source
        self.target = target
        self.routingKey = routingKey
        self.arguments = arguments
    }
}

extension Binding {
    /// Throws if no supported broker would accept the binding, before anything is sent.
    ///
    /// - Throws: `invalidArgument`, naming the binding, what is wrong with it, and what to do.
    public func validate() throws(AMQPError) {
        try ShortString.validateName(source, "The source exchange of a binding")
        try ShortString.validateName(target.name, "The target of a binding from exchange '\(source)'")
        try ShortString.validate(routingKey, "The routing key of the binding from '\(source)' to '\(target.name)'")
        guard !source.isEmpty else {
            throw AMQPError(
                .invalidArgument,
                "Nothing can be bound to the default exchange: every queue already is, by its name ('\(target.name)'). "
                    + "Name another exchange."
            )
        }
        try arguments.validate("The binding from '\(source)' to '\(target.name)'")
    }
}

extension Binding.Target {
    /// The name of the queue or exchange.
    public var name: String {
        switch self {
        case .queue(let name), .exchange(let name): name
        }
    }

    /// The queue or exchange as an error message names it.
    package var summary: String {
        switch self {
        case .queue(let name): "the queue '\(name)'"
        case .exchange(let name): "the exchange '\(name)'"
        }
    }
}
