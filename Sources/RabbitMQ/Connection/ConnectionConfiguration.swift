import AMQP

/// The endpoint, credentials and limits of one connection.
struct ConnectionConfiguration: Sendable {
    /// The frame size that the client requests, in bytes; RabbitMQ's default.
    static let frameSize = 131_072
    /// The smallest frame size that AMQP lets a broker ask for, in bytes.
    ///
    /// Source: <https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>, 4.2.3 (`frame-min-size`).
    static let smallestFrameSize = 4096

    var endpoint: BrokerEndpoint
    var virtualHost: String
    var credentials: Credentials
    /// Asked for the credentials before each log-in; `nil` if they don't change.
    var credentialsSource: CredentialsSource?
    var tls: TLSConfiguration?
    var heartbeat: Duration
    var connectTimeout: Duration
    /// Finds the host's addresses; another function only in tests.
    var resolve: @Sendable (BrokerEndpoint) -> [HostAddress] = HostAddress.all
    /// True if librabbitmq is to read and write TLS, as it must where OpenSSL can't be asked; set only in tests.
    var leavesTLSToLibrary = false
    /// Decides whether the next method to be sent finds the connection lost; set only in tests.
    var failsSend: (@Sendable () -> Bool)?
    /// The name under which the broker's operator sees the connection.
    var name: String

    /// The properties by which the client describes itself to the broker.
    ///
    /// Without the capabilities the broker would close a connection without a reason, and wouldn't report cancelled
    /// consumers and alarms.
    var clientProperties: FieldTable {
        [
            "product": "Warren RabbitMQ client",
            "version": .string(PackageVersion.current),
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
