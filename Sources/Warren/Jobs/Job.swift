/// A job: what is to be done, as a value that a service sends and a worker receives.
///
/// The stored properties are the payload. They must encode to a JSON object; its keys are the keyword arguments that a worker in
/// another language sees. Services and workers share the type; the handler is registered with the worker alone.
///
/// ```swift
/// struct SendEmail: Job {
///     static let name = "emails.send"
///     static let queue: QueueName = "emails"
///
///     var to: String
///     var subject: String
/// }
/// ```
///
/// Every job runs *at least* once: a worker that dies in mid-job gives it to another one. Write handlers so that a repetition does no harm.
public protocol Job: Codable, Sendable {
    /// The name on the wire, such as `emails.send`. It is explicit, so that renaming the type doesn't orphan jobs that wait.
    static var name: String { get }
    /// The queue the job goes to unless the caller of `enqueue` says otherwise.
    static var queue: QueueName { get }
    /// What happens after a failure. Default: 8 attempts, with growing random delays of up to 1 second, 2, 4, … at most 10 minutes.
    static var retry: RetryPolicy { get }
    /// The lane the job goes to unless the caller says otherwise. Default: ``Lane/normal``.
    static var lane: Lane { get }
    /// How long after it is due the job is still worth starting; `nil`, the default, for ever.
    static var timeToLive: Duration? { get }
    /// What happens to a job of this kind that expired before it was started. Default: ``ExpiryPolicy/keep``.
    static var expiryPolicy: ExpiryPolicy { get }
    /// How long one attempt may take. Default: ``TimeLimits/none``.
    static var timeLimits: TimeLimits { get }
}

extension Job {
    /// 8 attempts, with growing random delays.
    public static var retry: RetryPolicy { .standard }
    /// The normal lane.
    public static var lane: Lane { .normal }
    /// No expiry.
    public static var timeToLive: Duration? { nil }
    /// Kept in the dead queue.
    public static var expiryPolicy: ExpiryPolicy { .keep }
    /// No limits.
    public static var timeLimits: TimeLimits { .none }
}
