public import AMQP
import EmbeddedBroker
public import Logging
import RabbitMQ

/// Where a program's broker is, by a URL: RabbitMQ, or one in the program itself.
///
/// ```swift
/// let broker = try Broker.open(ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "memory://")
/// ```
///
/// | URL | is |
/// |---|---|
/// | `amqp://user:password@host:5672/vhost`, `amqps://…`, or several with commas between | RabbitMQ |
/// | `memory://` | an `EmbeddedBroker` of this process, which ends with it |
///
/// A broker in a file is opened with the module `EmbeddedStore`, so that nobody else needs SQLite.
public enum Broker {
    /// The broker at a URL; nothing is connected before it is used.
    ///
    /// - Parameter name: How the broker's operator sees the connection.
    /// - Throws: `invalidURL`.
    public static func open(
        _ url: String,
        name: String = "warren",
        logger: Logger = Logger(label: "warren.rabbitmq")
    ) throws(AMQPError) -> any Transport {
        if url == "memory://" { return EmbeddedBroker() }
        if url.hasPrefix("memory:") {
            throw AMQPError(.invalidURL, "'\(url)' is no broker: one in this process is just 'memory://'.")
        }
        if url.hasPrefix("file:") {
            throw AMQPError(
                .invalidURL,
                """
                '\(url)' is a broker in a file, and this program can't open those: let it do so with the module EmbeddedStore, which needs \
                SQLite (for its commands, in WarrenApplication.openBroker).
                """
            )
        }
        return RabbitMQClient(
            RabbitMQClient.Configuration(urls: try BrokerURL.list(url), connectionName: name),
            logger: logger
        )
    }
}
