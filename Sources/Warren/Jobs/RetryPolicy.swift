/// The delays and the number of attempts of a job that fails.
public struct RetryPolicy: Sendable {
    enum Backoff: Sendable, Hashable {
        case fixed(Duration)
        case exponential(from: Duration, to: Duration)
    }

    /// The total number of attempts, the first one included; at least 1.
    public let attempts: Int
    let backoff: Backoff
    let decide: (@Sendable (any Error) -> RetryDecision)?

    private init(attempts: Int, backoff: Backoff, decide: (@Sendable (any Error) -> RetryDecision)? = nil) {
        self.attempts = max(1, attempts)
        self.backoff = backoff
        self.decide = decide
    }

    /// The default policy: 20 attempts, with random delays of up to 15 seconds, 30, 60, … at most an hour.
    ///
    /// So it outlives an outage of hours: the last attempt comes about 6 hours after the first, 12 at most.
    public static let standard = RetryPolicy.exponential(from: .seconds(15), to: .seconds(3_600), attempts: 20)

    /// A single attempt: a job that fails is dead.
    public static let none = RetryPolicy(attempts: 1, backoff: .fixed(.zero))

    /// The same delay after each failure.
    ///
    /// Fewer than one attempt counts as one, a negative delay as zero.
    public static func fixed(_ delay: Duration, attempts: Int) -> RetryPolicy {
        RetryPolicy(attempts: attempts, backoff: .fixed(delay))
    }

    /// A random delay between zero and a limit that doubles with each failure, from `first` to at most `longest`.
    ///
    /// This is "full jitter" (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>): jobs that
    /// failed together don't return together. Fewer than one attempt counts as one, negative durations as zero.
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

    /// Returns the delay after a failed attempt.
    ///
    /// - Parameters:
    ///   - attempt: The number of the attempt, from 1.
    ///   - generator: The source of the jitter.
    public func delay(afterAttempt attempt: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        switch backoff {
        case .fixed(let delay):
            return RetryPolicy.bounded(delay)
        case .exponential(let first, let longest):
            // 2^1000 is beyond every duration and within a double.
            let doublings = Double(sign: .plus, exponent: min(max(0, attempt - 1), 1_000), significand: 1)
            let limit = min(longest / .seconds(1), first / .seconds(1) * doublings)
            guard limit > 0 else { return .zero }
            // 1 - [0, 1) is (0, 1]: never zero, sometimes the whole limit.
            return RetryPolicy.bounded(.seconds(limit * (1 - Double.random(in: 0..<1, using: &generator))))
        }
    }

    /// Returns the decision about an error.
    public func decision(on error: any Error) -> RetryDecision {
        if let failure = error as? JobFailure { return failure.decision }
        return decide?(error) ?? .retry
    }

    /// The longest possible delay: the seconds that the delay ladder's 28 binary digits can express, about eight and a
    /// half years.
    static let longestDelay = Duration.seconds((1 << 28) - 1)

    static func bounded(_ delay: Duration) -> Duration { min(max(.zero, delay), longestDelay) }
}

/// The decision of a retry policy or a handler about one error.
public struct RetryDecision: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case retry
        case retryAfter(Duration)
        case never
    }

    let kind: Kind

    /// Retry after the policy's delay, if attempts are left.
    public static let retry = RetryDecision(kind: .retry)
    /// Don't retry: the job can't succeed.
    public static let never = RetryDecision(kind: .never)
    /// Retry after `delay`, if attempts are left.
    public static func retry(after delay: Duration) -> RetryDecision { RetryDecision(kind: .retryAfter(delay)) }
}
