import Synchronization

/// The live counters behind ``WorkerCounts``.
final class WorkerCounters: Sendable {
    let succeeded = Atomic(0)
    let retried = Atomic(0)
    let dead = Atomic(0)
    let parked = Atomic(0)
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
        switch outcome {
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
