import AMQP

/// How one connection reaches its broker and who it is there.
struct ConnectionConfiguration: Sendable {
    /// The size of a frame that is asked for, in bytes; RabbitMQ's own default.
    static let frameSize = 131_072

    var endpoint: BrokerEndpoint
    var virtualHost: String
    var credentials: Credentials
    var tls: TLSConfiguration?
    var heartbeat: Duration
    var connectTimeout: Duration
    /// The name under which the broker's operator sees the connection.
    var name: String

    /// What the client tells the broker of itself.
    ///
    /// Without the capabilities the broker would close a connection silently instead of saying why, and wouldn't tell
    /// of cancelled consumers and alarms.
    var clientProperties: FieldTable {
        [
            "product": "Warren RabbitMQ client",
            "platform": "Swift",
            "information": "https://www.rabbitmq.com/docs/connections#capabilities",
            "connection_name": .string(name),
            "capabilities": [
                "authentication_failure_close": true,
                "basic.nack": true,
                "connection.blocked": true,
                "consumer_cancel_notify": true,
                "exchange_exchange_bindings": true,
                "publisher_confirms": true,
            ],
        ]
    }
}
