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

/// Where a connection to a broker is in its life.
public enum ConnectionState: Sendable, Hashable, CustomStringConvertible {
    /// Not asked for yet: a client connects when it is first used.
    case idle
    /// The first attempt to reach the broker is under way.
    case connecting
    /// Logged in; the broker takes what is sent.
    case open
    /// Logged in, but the broker takes no publishes now, for its reason: an alarm of memory or disk.
    case blocked(reason: String)
    /// The connection was lost, or could not be made, and this attempt to make a new one, counted from 1, is under way or next.
    case recovering(attempt: Int)
    /// Closed by this program, or given up.
    case closed

    /// True while the client is logged in, even if the broker takes no publishes.
    public var isConnected: Bool {
        switch self {
        case .open, .blocked: true
        case .idle, .connecting, .recovering, .closed: false
        }
    }

    /// The state in a word, with its reason or number.
    public var description: String {
        switch self {
        case .idle: "idle"
        case .connecting: "connecting"
        case .open: "open"
        case .blocked(let reason): "blocked (\(reason))"
        case .recovering(let attempt): "recovering (\(attempt))"
        case .closed: "closed"
        }
    }
}
