/// A rule by which an exchange passes messages on, to a queue or to another exchange.
public struct Binding: Sendable, Hashable {
    /// What a binding leads to.
    public enum Target: Sendable, Hashable {
        /// The queue of this name.
        case queue(String)
        /// The exchange of this name.
        case exchange(String)
    }

    /// The exchange that passes messages on.
    public var source: String
    /// Where they go.
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
