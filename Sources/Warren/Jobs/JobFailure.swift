/// An error with which a handler decides what happens after its failure, whatever the job's retry policy decides about
/// other errors.
///
/// ```swift
/// guard let user = try await users.find(job.user) else { throw JobFailure.permanent("No such user") }
/// if response.status == 429 { throw JobFailure.retry(after: .seconds(30), "The mail service is busy") }
/// ```
///
/// The number of attempts remains the policy's.
public struct JobFailure: Error, Sendable, CustomStringConvertible {
    /// The message for the failure record.
    public var message: String
    /// The decision about a retry.
    public var decision: RetryDecision
    /// The error behind this one, if there is one.
    public var underlying: (any Error)?

    /// Creates a failure with its own decision.
    public init(_ message: String, decision: RetryDecision, underlying: (any Error)? = nil) {
        self.message = message
        self.decision = decision
        self.underlying = underlying
    }

    /// The job can't succeed: it goes to the dead queue at once.
    public static func permanent(_ message: String, underlying: (any Error)? = nil) -> JobFailure {
        JobFailure(message, decision: .never, underlying: underlying)
    }

    /// The job is retried after `delay`, if attempts are left.
    public static func retry(
        after delay: Duration,
        _ message: String = "The job asked for a later retry.",
        underlying: (any Error)? = nil
    ) -> JobFailure {
        JobFailure(message, decision: .retry(after: delay), underlying: underlying)
    }

    /// The message and the underlying error.
    public var description: String { underlying.map { "\(message): \($0)" } ?? message }
}

/// An attempt at a job took longer than its ``TimeLimits`` allow.
public struct JobTimeLimitExceeded: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of limits.
    public enum Kind: String, Sendable, Hashable, Codable {
        /// The soft limit: the handler was cancelled.
        case soft
        /// The hard limit: the handler was abandoned.
        case hard
    }

    /// The kind of limit that was exceeded.
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

    /// The kind of limit and its duration.
    public var description: String { "The job ran longer than its \(kind.rawValue) time limit of \(limit)." }
}
