/// The destination of a published message: an exchange, and the routing key by which the exchange selects queues.
public struct Destination: Sendable, Hashable, CustomStringConvertible {
    /// The exchange's name; empty for the default exchange.
    public var exchange: String
    /// The routing key, at most 255 bytes.
    public var routingKey: String

    /// A destination by exchange and routing key.
    public init(exchange: String, routingKey: String) {
        self.exchange = exchange
        self.routingKey = routingKey
    }

    /// The queue of this name, reached through the default exchange, to which every queue is bound.
    public static func queue(_ name: String) -> Destination {
        Destination(exchange: "", routingKey: name)
    }

    /// The destination as an error message names it.
    public var description: String {
        exchange.isEmpty ? "queue '\(routingKey)'" : "exchange '\(exchange)' with routing key '\(routingKey)'"
    }
}

extension Destination {
    /// Throws if AMQP can't send the exchange's name or the routing key.
    ///
    /// - Throws: `invalidArgument`, naming what is too long or holds a line end.
    public func validate() throws(AMQPError) {
        try ShortString.validateName(exchange, "The exchange to publish to")
        try ShortString.validate(routingKey, "The routing key to publish with")
    }
}
