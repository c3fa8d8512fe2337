/// What becomes of one delivery: each has exactly one outcome, and `Settlement` makes it durable before it acknowledges the delivery.
public enum Outcome: Sendable, Hashable {
    /// The handler returned.
    case succeeded
    /// The handler failed; the job is due again after the delay.
    case retry(after: Duration)
    /// The job can't succeed: it goes to the dead queue.
    case dead(DeadReason)
    /// This worker doesn't know the job's name: the job waits in the parked queue for one that does.
    case parked
    /// The job expired and its kind says ``ExpiryPolicy/discard``: nothing remains of it.
    case expired
    /// The worker is stopping: the job goes back to its queue as it came.
    case requeued

    /// The outcome's name in logs and metrics.
    public var name: String {
        switch self {
        case .succeeded: "succeeded"
        case .retry: "retried"
        case .dead: "dead"
        case .parked: "parked"
        case .expired: "expired"
        case .requeued: "requeued"
        }
    }
}
