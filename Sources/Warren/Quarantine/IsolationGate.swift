import DequeModule
import Synchronization

/// Admits a worker's jobs: ordinary jobs side by side, a job that may be poison alone.
///
/// As soon as an isolated job waits, no other is admitted; when those inside have left, it enters alone. Jobs that
/// waited in the meantime enter when no isolated job is left: a worker has few, and each is either done or quarantined.
///
/// The common case is free of locks. ``inside`` counts the jobs that share the gate; an isolated job that waits or runs
/// adds ``barrier``, a number no count reaches. So an ordinary job enters with one addition: a result below the barrier
/// means that it is in. A result above means that it must step back and queue up under the lock. Between those two
/// additions it is counted although it isn't in, which is why an isolated job is admitted only when the count is
/// exactly the barrier, by whoever brings it there.
final class IsolationGate: Sendable {
    private typealias Waiter = CheckedContinuation<Bool, Never>

    private struct State: Sendable {
        var isClosed = false
        var isOccupiedExclusively = false
        var isolated = Deque<Waiter>()
        var shared: [Waiter] = []
    }

    /// Added to ``inside`` while newcomers must queue up.
    ///
    /// Added and removed under the lock only.
    private static let barrier = 1 << 62

    /// The number of jobs inside that share the gate, plus the barrier.
    private let inside = Atomic(0)
    private let state = Mutex(State())

    /// True once ``close()`` was called.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// The numbers of jobs waiting to enter exclusively, and to enter beside others.
    var waiting: (isolated: Int, shared: Int) { state.withLock { ($0.isolated.count, $0.shared.count) } }

    /// Admits a job beside others; waits while an isolated job runs or waits.
    ///
    /// Returns false once the gate is closed: then the job must not start. Otherwise ``leave()`` has to follow.
    func enter() async -> Bool {
        if inside.add(1, ordering: .acquiringAndReleasing).newValue < Self.barrier { return true }
        // Stepping back may be what an isolated job waits for.
        leave()
        return await withCheckedContinuation { job in
            let answer: Bool? = state.withLock { state in
                if state.isClosed { return false }
                if inside.load(ordering: .acquiring) < Self.barrier {
                    // The barrier went away in between. It comes back under this lock only, so the addition can't cross
                    // it.
                    inside.add(1, ordering: .acquiringAndReleasing)
                    return true
                }
                state.shared.append(job)
                return nil
            }
            if let answer { job.resume(returning: answer) }
        }
    }

    func leave() {
        guard inside.subtract(1, ordering: .acquiringAndReleasing).newValue == Self.barrier else { return }
        state.withLock { admitIsolated(&$0) }?.resume(returning: true)
    }

    /// Admits a job that may be poison when all others have left.
    ///
    /// Returns false once the gate is closed: then the job must not start. Otherwise ``leaveExclusively()`` has to
    /// follow.
    func enterExclusively() async -> Bool {
        await withCheckedContinuation { job in
            let (isClosed, admitted): (Bool, Waiter?) = state.withLock { state in
                if state.isClosed { return (true, nil) }
                if inside.load(ordering: .acquiring) < Self.barrier {
                    inside.add(Self.barrier, ordering: .acquiringAndReleasing)
                }
                state.isolated.append(job)
                return (false, admitIsolated(&state))
            }
            if isClosed { job.resume(returning: false) }
            admitted?.resume(returning: true)
        }
    }

    func leaveExclusively() {
        let (isolated, shared): (Waiter?, [Waiter]) = state.withLock { state in
            state.isOccupiedExclusively = false
            if !state.isolated.isEmpty || state.isClosed { return (admitIsolated(&state), []) }
            let shared = state.shared
            state.shared = []
            // One step takes the barrier away and counts those that waited behind it, so no isolated job can enter
            // between.
            inside.add(shared.count - Self.barrier, ordering: .acquiringAndReleasing)
            return (nil, shared)
        }
        isolated?.resume(returning: true)
        for job in shared { job.resume(returning: true) }
    }

    /// Turns away all jobs that wait and all that come; those inside stay.
    func close() {
        let waiting = state.withLock { state in
            if !state.isClosed, inside.load(ordering: .acquiring) < Self.barrier {
                inside.add(Self.barrier, ordering: .acquiringAndReleasing)
            }
            state.isClosed = true
            let waiting = Array(state.isolated) + state.shared
            state.isolated = []
            state.shared = []
            return waiting
        }
        for job in waiting { job.resume(returning: false) }
    }

    /// The next isolated job, if nobody is inside: a newcomer that is stepping back counts until it has left.
    private func admitIsolated(_ state: inout State) -> Waiter? {
        guard !state.isOccupiedExclusively, inside.load(ordering: .acquiring) == Self.barrier,
            let job = state.isolated.popFirst()
        else { return nil }
        state.isOccupiedExclusively = true
        return job
    }
}
