/// A broker's address.
public struct BrokerEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// The host's name or IP address.
    public var host: String
    /// The TCP port; RabbitMQ's defaults are 5672, and 5671 with TLS.
    public var port: UInt16

    /// An address by host and port.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// The address as `host:port`.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
