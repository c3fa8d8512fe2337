import Configuration

/// Where the broker is: what the command line says, else what the environment says, else the local one.
struct BrokerLocation {
    /// The broker that a fresh RabbitMQ on this machine is.
    static let standard = "amqp://guest:guest@127.0.0.1:5672/%2f"

    let text: String

    /// - Parameter option: The value of `--broker`.
    /// - Parameter environment: Read for `WARREN_BROKER_URL`. The value may hold a password, so it is read as a secret.
    init(option: String?, environment: ConfigReader) {
        text = option ?? environment.string(forKey: "warren.broker.url", isSecret: true, default: Self.standard)
    }
}
