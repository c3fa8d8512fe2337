/// How long one attempt at a job may take.
///
/// At the *soft* limit the handler's task is cancelled, and the attempt has failed with ``JobTimeLimitExceeded``, whatever the handler
/// throws then; if it returns without throwing, it succeeded in spite of the cancellation. It relies on the handler to heed cancellation.
///
/// At the *hard* limit the attempt has failed whether the handler returns or not. A handler that doesn't can be ended only with its
/// process: so the worker makes the failure durable, hands back what it has not begun, lets other running jobs finish until the shutdown
/// deadline, and ends with ``WarrenError`` `hardTimeLimit`. Under `worker --processes` the supervisor then starts a new process.
///
/// After either, the job's ``RetryPolicy`` decides what comes next. A limit is kept by a task of the cooperative pool: handlers that
/// block all its threads hold up the limits too. Against those only a liveness probe helps.
public struct TimeLimits: Sendable, Hashable {
    /// When the handler is cancelled; `nil` for never.
    public var soft: Duration?
    /// When the handler is given up; `nil` for never.
    public var hard: Duration?

    /// Limits, of which either can be left out.
    public init(soft: Duration? = nil, hard: Duration? = nil) {
        self.soft = soft
        self.hard = hard
    }

    /// No limits.
    public static let none = TimeLimits()

    var isNone: Bool { soft == nil && hard == nil }

    /// How long an attempt can take as far as the limits tell; `nil` if they don't.
    ///
    /// A soft limit alone counts, because a handler that heeds it ends there.
    var longest: Duration? { hard ?? soft }

    /// These limits, each replaced by the other's where that has one.
    ///
    /// A soft limit that isn't below the hard one would never be reached, and is left out.
    func replaced(by other: TimeLimits) -> TimeLimits {
        var limits = TimeLimits(soft: other.soft ?? soft, hard: other.hard ?? hard)
        if let soft = limits.soft, let hard = limits.hard, soft >= hard { limits.soft = nil }
        return limits
    }

    /// Checks that limits are positive and the soft one is below the hard one.
    ///
    /// - Throws: ``WarrenError`` with `invalidConfiguration`, naming the job.
    func validate(job: String) throws(WarrenError) {
        let problem: String
        if let limit = [soft, hard].compactMap(\.self).first(where: { $0 <= .zero }) {
            problem = "is \(limit); it must be positive"
        } else if let soft, let hard, soft >= hard {
            problem = "is \(soft) to the soft one and \(hard) to the hard one; the soft one must be shorter"
        } else {
            return
        }
        throw WarrenError(.invalidConfiguration, "A time limit of the job '\(job.truncated(toBytes: 80))' \(problem).")
    }
}
