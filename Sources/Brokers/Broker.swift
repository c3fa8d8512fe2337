public import AMQP
import EmbeddedBroker
public import Logging
public import RabbitMQ
@_documentation(visibility: internal) @_exported public import struct RabbitMQ.Credentials

/// The one way to open a broker, by its URL: RabbitMQ, or a broker inside this process.
///
/// ```swift
/// let broker = try await Broker.open("amqp://localhost")
/// let jobs = JobClient(broker)
/// let worker = Worker(broker, queues: ["emails"], concurrency: 16) { … }
/// …
/// await broker.close()
/// ```
///
/// With `credentials`, a closure supplies the user and the password or token, for passwords that are rotated and tokens
/// that expire:
///
/// ```swift
/// let broker = try await Broker.open("amqps://broker.example", credentials: {
///     let token = try await identityProvider.token()
///     return .plain(user: "", password: token.text, expiresAt: .now + .seconds(token.expiresIn))
/// })
/// ```
///
/// Whoever opens a broker closes it; clients and workers share it and leave it open.
///
/// | URL | Broker |
/// |---|---|
/// | `amqp://user:password@host:5672/vhost`, `amqps://…`, or several separated by commas | RabbitMQ |
/// | `memory://` | an `EmbeddedBroker` of this process, which ends with it |
///
/// To open a broker in a file (`file:///…`), use the module `EmbeddedStore`, which keeps SQLite out of every other
/// program.
public enum Broker {
    /// Opens the broker at a URL; nothing connects before its first use.
    ///
    /// - Parameters:
    ///   - url: One of the URLs above.
    ///   - name: The connection's name in RabbitMQ's management interface.
    ///   - credentials: The source of RabbitMQ's credentials, for passwords that are rotated and tokens that expire; by
    ///     default they are those of the URL.
    ///   - logger: Logs lost and recovered connections.
    /// - Throws: `invalidURL`.
    public static func open(
        _ url: String,
        name: String = "warren",
        credentials: CredentialsSource? = nil,
        logger: Logger = Logger(label: "warren.rabbitmq")
    ) async throws(AMQPError) -> any Transport {
        if url == "memory://" { return EmbeddedBroker() }
        if url.hasPrefix("memory:") {
            throw AMQPError(
                .invalidURL,
                "'\(url)' is not a broker URL. A broker in this process is 'memory://', without a name."
            )
        }
        if url.hasPrefix("file:") {
            throw AMQPError(
                .invalidURL,
                """
                '\(url)' is a broker in a file, which this program cannot open. Open it with the module EmbeddedStore, which \
                needs SQLite; an application's commands do so in WarrenApplication.openBroker.
                """
            )
        }
        return try RabbitMQClient(url: url, connectionName: name, credentials: credentials, logger: logger)
    }
}
