/// What a handler throws to say what should happen after its failure, whatever the job's policy says about other errors.
///
/// ```swift
/// guard let user = try await users.find(job.user) else { throw JobFailure.permanent("There is no such user.") }
/// if response.status == 429 { throw JobFailure.retry(after: .seconds(30), "The mail service asks for a pause.") }
/// ```
///
/// The number of attempts stays that of the policy.
public struct JobFailure: Error, Sendable, CustomStringConvertible {
    /// What happened, for the failure record.
    public var message: String
    /// What should happen next.
    public var decision: RetryDecision
    /// The error behind this one, if there is one.
    public var underlying: (any Error)?

    /// A failure with its own decision.
    public init(_ message: String, decision: RetryDecision, underlying: (any Error)? = nil) {
        self.message = message
        self.decision = decision
        self.underlying = underlying
    }

    /// The job can't succeed: it goes to the dead queue at once.
    public static func permanent(_ message: String, underlying: (any Error)? = nil) -> JobFailure {
        JobFailure(message, decision: .never, underlying: underlying)
    }

    /// The job should be tried again after `delay`, if attempts are left.
    public static func retry(
        after delay: Duration,
        _ message: String = "The job asked to be tried again later.",
        underlying: (any Error)? = nil
    ) -> JobFailure {
        JobFailure(message, decision: .retry(after: delay), underlying: underlying)
    }

    /// The message, and the error behind it.
    public var description: String { underlying.map { "\(message): \($0)" } ?? message }
}

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
