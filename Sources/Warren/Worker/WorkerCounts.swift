import Synchronization

/// The numbers of deliveries that a worker has dealt with since it was created, by outcome.
public struct WorkerCounts: Sendable, Hashable, Codable {
    /// Jobs whose handlers returned.
    public var succeeded = 0
    /// Jobs that failed and will be retried.
    public var retried = 0
    /// Jobs moved to the dead queue.
    public var dead = 0
    /// Jobs moved to the parked queue.
    public var parked = 0
    /// Jobs moved to quarantine, because they may have crashed a worker.
    public var quarantined = 0
    /// Jobs moved from the parked queue back to their own, because this worker knows their names.
    public var unparked = 0
    /// Jobs removed because they had expired and their ``ExpiryPolicy`` is to discard them; expired jobs that are kept
    /// count as ``dead``.
    public var expired = 0
    /// Jobs returned to their queue at shutdown.
    public var requeued = 0
    /// Jobs sent to the delay ladder because they were not due yet.
    public var postponed = 0
    /// Deliveries that the broker marked as redelivered.
    public var redelivered = 0
    /// Deliveries that the broker took back before they started: their channel was lost while they waited.
    public var lost = 0
    /// Deliveries that the broker took back while they ran: they could not be settled, and run again.
    public var lateSettlements = 0
    /// Times that a circuit breaker opened.
    public var breakerOpened = 0
    /// Times that a consumer was lost and the worker had to consume again.
    public var consumersLost = 0
}

/// The live counters behind ``WorkerCounts``.
final class WorkerCounters: Sendable {
    let succeeded = Atomic(0)
    let retried = Atomic(0)
    let dead = Atomic(0)
    let parked = Atomic(0)
    let quarantined = Atomic(0)
    let unparked = Atomic(0)
    let expired = Atomic(0)
    let requeued = Atomic(0)
    let postponed = Atomic(0)
    let redelivered = Atomic(0)
    let lost = Atomic(0)
    let lateSettlements = Atomic(0)
    let breakerOpened = Atomic(0)
    let consumersLost = Atomic(0)

    func count(_ outcome: Outcome) {
        switch outcome.kind {
        case .succeeded: succeeded.add(1, ordering: .relaxed)
        case .retry: retried.add(1, ordering: .relaxed)
        case .dead: dead.add(1, ordering: .relaxed)
        case .parked: parked.add(1, ordering: .relaxed)
        case .expired: expired.add(1, ordering: .relaxed)
        case .requeued: requeued.add(1, ordering: .relaxed)
        }
    }

    var counts: WorkerCounts {
        WorkerCounts(
            succeeded: succeeded.load(ordering: .relaxed),
            retried: retried.load(ordering: .relaxed),
            dead: dead.load(ordering: .relaxed),
            parked: parked.load(ordering: .relaxed),
            quarantined: quarantined.load(ordering: .relaxed),
            unparked: unparked.load(ordering: .relaxed),
            expired: expired.load(ordering: .relaxed),
            requeued: requeued.load(ordering: .relaxed),
            postponed: postponed.load(ordering: .relaxed),
            redelivered: redelivered.load(ordering: .relaxed),
            lost: lost.load(ordering: .relaxed),
            lateSettlements: lateSettlements.load(ordering: .relaxed),
            breakerOpened: breakerOpened.load(ordering: .relaxed),
            consumersLost: consumersLost.load(ordering: .relaxed)
        )
    }
}
