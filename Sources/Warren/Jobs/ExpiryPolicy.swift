/// What happens to a job that was not started before it expired.
///
/// It is always a worker that notices: Warren doesn't set AMQP's `expiration` property, with which the broker would drop a job that
/// nobody sees (or, on a queue with a dead-letter exchange, move it without a failure record; and in the delay ladder it would cut the
/// delay short). So every expired job is counted and logged, whatever the policy.
public struct ExpiryPolicy: Sendable, Hashable {
    let keepsJob: Bool

    /// The job goes to the queue's dead queue with the reason `expired`.
    public static let keep = ExpiryPolicy(keepsJob: true)
    /// The job is acknowledged and gone; a counter and a log line remain.
    public static let discard = ExpiryPolicy(keepsJob: false)
}
