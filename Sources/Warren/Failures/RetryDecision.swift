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
