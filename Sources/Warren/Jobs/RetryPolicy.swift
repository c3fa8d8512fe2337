/// When a job that failed is tried again, and how often.
public struct RetryPolicy: Sendable {
    enum Backoff: Sendable, Hashable {
        case fixed(Duration)
        case exponential(from: Duration, to: Duration)
    }

    /// How many times the job is run in all, the first time included; at least 1.
    public let attempts: Int
    let backoff: Backoff
    let decide: (@Sendable (any Error) -> RetryDecision)?

    private init(attempts: Int, backoff: Backoff, decide: (@Sendable (any Error) -> RetryDecision)? = nil) {
        self.attempts = max(1, attempts)
        self.backoff = backoff
        self.decide = decide
    }

    /// The policy of jobs that don't say otherwise: 8 attempts, delays of up to 1 second, 2, 4, … at most 10 minutes.
    public static let standard = RetryPolicy.exponential(from: .seconds(1), to: .seconds(600), attempts: 8)

    /// One attempt: a job that fails is dead.
    public static let none = RetryPolicy(attempts: 1, backoff: .fixed(.zero))

    /// Always the same delay.
    ///
    /// Less than one attempt counts as one, a negative delay as none.
    public static func fixed(_ delay: Duration, attempts: Int) -> RetryPolicy {
        RetryPolicy(attempts: attempts, backoff: .fixed(delay))
    }

    /// A random delay between nothing and a limit that doubles with each failure, from `first` to at most `longest`.
    ///
    /// This is "full jitter" (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>): jobs that failed together
    /// don't come back together. Less than one attempt counts as one, negative durations as none.
    public static func exponential(from first: Duration, to longest: Duration, attempts: Int) -> RetryPolicy {
        RetryPolicy(attempts: attempts, backoff: .exponential(from: first, to: longest))
    }

    /// This policy, with a closure that decides by the error; attempts and delays that it leaves open stay as they are.
    ///
    /// ```swift
    /// static let retry = RetryPolicy.standard.deciding { $0 is InvalidAddress ? .never : .retry }
    /// ```
    ///
    /// The closure isn't called for a ``JobFailure``, which carries its own decision.
    public func deciding(_ decide: @escaping @Sendable (any Error) -> RetryDecision) -> RetryPolicy {
        RetryPolicy(attempts: attempts, backoff: backoff, decide: decide)
    }

    /// The delay after attempt number `attempt` (from 1) failed.
    public func delay(afterAttempt attempt: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        switch backoff {
        case .fixed(let delay):
            return RetryPolicy.bounded(delay)
        case .exponential(let first, let longest):
            // 2^1000 is beyond every duration and within a double.
            let doublings = Double(sign: .plus, exponent: min(max(0, attempt - 1), 1_000), significand: 1)
            let limit = min(longest / .seconds(1), first / .seconds(1) * doublings)
            guard limit > 0 else { return .zero }
            // 1 - [0, 1) is (0, 1]: never nothing, sometimes all.
            return RetryPolicy.bounded(.seconds(limit * (1 - Double.random(in: 0..<1, using: &generator))))
        }
    }

    /// What should happen after `error`.
    public func decision(on error: any Error) -> RetryDecision {
        if let failure = error as? JobFailure { return failure.decision }
        return decide?(error) ?? .retry
    }

    /// The longest delay there is: what the delay ladder's 28 binary digits of seconds hold, some eight and a half years.
    static let longestDelay = Duration.seconds((1 << 28) - 1)

    static func bounded(_ delay: Duration) -> Duration { min(max(.zero, delay), longestDelay) }
}

/// What a policy, or a handler, says about one error.
public struct RetryDecision: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case retry
        case retryAfter(Duration)
        case never
    }

    let kind: Kind

    /// Try again, after the policy's delay, if attempts are left.
    public static let retry = RetryDecision(kind: .retry)
    /// Don't try again: the job can't succeed.
    public static let never = RetryDecision(kind: .never)
    /// Try again after `delay`, if attempts are left.
    public static func retry(after delay: Duration) -> RetryDecision { RetryDecision(kind: .retryAfter(delay)) }
}
