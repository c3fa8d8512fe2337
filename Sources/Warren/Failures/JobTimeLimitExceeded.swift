/// An attempt at a job took longer than its ``TimeLimits`` allow.
public struct JobTimeLimitExceeded: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which limit it was.
    public enum Kind: String, Sendable, Hashable, Codable {
        /// The handler was cancelled.
        case soft
        /// The handler was given up.
        case hard
    }

    /// Which limit was exceeded.
    public let kind: Kind
    /// The limit.
    public let limit: Duration

    private init(_ kind: Kind, _ limit: Duration) {
        self.kind = kind
        self.limit = limit
    }

    /// The soft limit was exceeded.
    public static func soft(_ limit: Duration) -> JobTimeLimitExceeded { JobTimeLimitExceeded(.soft, limit) }
    /// The hard limit was exceeded.
    public static func hard(_ limit: Duration) -> JobTimeLimitExceeded { JobTimeLimitExceeded(.hard, limit) }

    /// Which limit, and how long it was.
    public var description: String { "The job ran longer than its \(kind.rawValue) time limit of \(limit)." }
}
