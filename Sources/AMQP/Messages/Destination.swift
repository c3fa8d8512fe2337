/// Where a message is published to: an exchange, and the routing key by which the exchange picks queues.
public struct Destination: Sendable, Hashable, CustomStringConvertible {
    /// The exchange's name; the default exchange has the empty one.
    public var exchange: String
    /// The routing key, at most 255 bytes.
    public var routingKey: String

    /// A destination by exchange and routing key.
    public init(exchange: String, routingKey: String) {
        self.exchange = exchange
        self.routingKey = routingKey
    }

    /// The queue of this name, through the default exchange, to which every queue is bound.
    public static func queue(_ name: String) -> Destination {
        Destination(exchange: "", routingKey: name)
    }

    /// The destination as an error message names it.
    public var description: String {
        exchange.isEmpty ? "queue '\(routingKey)'" : "exchange '\(exchange)' with routing key '\(routingKey)'"
    }
}

extension Destination {
    /// Refuses names and keys that AMQP can't send.
    ///
    /// - Throws: `invalidArgument`: what is too long.
    public func validate() throws(AMQPError) {
        try ShortString.validateName(exchange, "The exchange to publish to")
        try ShortString.validate(routingKey, "The routing key to publish with")
    }
}
