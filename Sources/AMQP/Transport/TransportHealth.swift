/// How a transport's way to its broker is, for health checks.
public struct TransportHealth: Sendable, Hashable {
    /// The connection that publishes.
    public var publishing: ConnectionState
    /// The connection that consumes and declares.
    public var consuming: ConnectionState
    /// When the broker last sent anything on the consuming connection, heartbeats included; `nil` if there is nothing to listen for, as
    /// with a broker in this process.
    public var lastReceived: ContinuousClock.Instant?
    /// The longest silence that is no sign of trouble: two heartbeats; `nil` without heartbeats.
    public var heartbeatTimeout: Duration?

    /// A transport's health.
    public init(
        publishing: ConnectionState,
        consuming: ConnectionState,
        lastReceived: ContinuousClock.Instant? = nil,
        heartbeatTimeout: Duration? = nil
    ) {
        self.publishing = publishing
        self.consuming = consuming
        self.lastReceived = lastReceived
        self.heartbeatTimeout = heartbeatTimeout
    }

    /// Whether the consuming connection is open and the broker was heard on it lately.
    public func isAlive(at now: ContinuousClock.Instant) -> Bool {
        guard consuming.isConnected else { return false }
        guard let lastReceived, let heartbeatTimeout else { return true }
        return lastReceived.duration(to: now) <= heartbeatTimeout
    }
}
