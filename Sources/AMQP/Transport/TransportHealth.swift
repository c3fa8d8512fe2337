/// The state of a transport's connections to its broker, for health checks.
public struct TransportHealth: Sendable, Hashable {
    /// The connection that publishes.
    public var publishing: ConnectionState
    /// The connection that consumes and declares.
    public var consuming: ConnectionState
    /// The time at which the broker last sent anything on the consuming connection, heartbeats included; `nil` if there
    /// is nothing to receive, as from a broker in this process.
    public var lastReceived: ContinuousClock.Instant?
    /// The longest silence that doesn't indicate a problem: two heartbeat intervals; `nil` without heartbeats.
    public var heartbeatTimeout: Duration?

    /// Creates a transport's health.
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

    /// Returns whether the consuming connection is open and the broker has sent something on it within
    /// ``heartbeatTimeout``.
    public func isAlive(at now: ContinuousClock.Instant) -> Bool {
        guard consuming.isConnected else { return false }
        guard let lastReceived, let heartbeatTimeout else { return true }
        return lastReceived.duration(to: now) <= heartbeatTimeout
    }
}

/// The state of a connection to a broker.
///
/// More states may come. Compare a state with the ones named here, or ask what matters, as ``isConnected`` does.
public struct ConnectionState: Sendable, Hashable, CustomStringConvertible {
    private enum Phase: Hashable {
        case idle, connecting, open, closed
        case blocked(reason: String)
        case recovering(attempt: Int)
    }

    private let phase: Phase

    /// Not needed yet: a client connects on first use.
    public static let idle = ConnectionState(phase: .idle)
    /// The first attempt to reach the broker is under way.
    public static let connecting = ConnectionState(phase: .connecting)
    /// Logged in; the broker accepts what is sent.
    public static let open = ConnectionState(phase: .open)
    /// Closed by this program, or given up.
    public static let closed = ConnectionState(phase: .closed)

    /// Logged in, but the broker accepts no publishes because of a memory or disk alarm; `reason` is the broker's text.
    public static func blocked(reason: String) -> ConnectionState { ConnectionState(phase: .blocked(reason: reason)) }

    /// Lost or never made: the attempt of this number, counted from 1, to connect again is under way or next.
    public static func recovering(attempt: Int) -> ConnectionState {
        ConnectionState(phase: .recovering(attempt: attempt))
    }

    /// True while the client is logged in, even if the broker accepts no publishes.
    public var isConnected: Bool {
        switch phase {
        case .open, .blocked: true
        case .idle, .connecting, .recovering, .closed: false
        }
    }

    /// The broker's reason for accepting no publishes; `nil` unless the state is ``blocked(reason:)``.
    public var blockedReason: String? {
        guard case .blocked(let reason) = phase else { return nil }
        return reason
    }

    /// The number of the attempt to connect again, counted from 1; `nil` unless the state is ``recovering(attempt:)``.
    public var recoveryAttempt: Int? {
        guard case .recovering(let attempt) = phase else { return nil }
        return attempt
    }

    /// The state in a word, with its reason or attempt.
    public var description: String {
        switch phase {
        case .idle: "idle"
        case .connecting: "connecting"
        case .open: "open"
        case .blocked(let reason): "blocked (\(reason))"
        case .recovering(let attempt): "recovering (\(attempt))"
        case .closed: "closed"
        }
    }
}
