import DequeModule
import Synchronization

/// The way in for a worker's jobs: many at a time, but a suspected one alone.
///
/// As soon as a suspected job waits, no other is let in; when those inside have left, it goes in alone. Those that waited meanwhile go
/// in when no suspected one is left: a worker has few, and each is either done or quarantined.
///
/// Where nobody is suspected, a job costs two additions to one atomic number.
final class IsolationGate: Sendable {
    private typealias Waiter = CheckedContinuation<Bool, Never>

    private struct State: Sendable {
        var isClosed = false
        var isOccupiedAlone = false
        var suspects = Deque<Waiter>()
        var others: [Waiter] = []
    }

    /// Added to ``inside`` while newcomers must not simply go in; changed under the lock only.
    private static let barrier = 1 << 62

    /// How many are inside that share it, and the barrier.
    private let inside = Atomic(0)
    private let state = Mutex(State())

    /// True once ``close()`` was called.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// How many wait to go in alone, and how many others.
    var waiting: (suspects: Int, others: Int) { state.withLock { ($0.suspects.count, $0.others.count) } }

    /// Lets a job in beside others; waits while a suspected one has or wants the place to itself.
    ///
    /// False once the gate is closed: then the job must not start. Otherwise ``leave()`` has to follow.
    func enter() async -> Bool {
        if inside.add(1, ordering: .acquiringAndReleasing).newValue < Self.barrier { return true }
        leave()
        return await withCheckedContinuation { job in
            let answer: Bool? = state.withLock { state in
                if state.isClosed { return false }
                if inside.load(ordering: .acquiring) < Self.barrier {
                    inside.add(1, ordering: .acquiringAndReleasing)
                    return true
                }
                state.others.append(job)
                return nil
            }
            if let answer { job.resume(returning: answer) }
        }
    }

    func leave() {
        guard inside.subtract(1, ordering: .acquiringAndReleasing).newValue == Self.barrier else { return }
        state.withLock { admitSuspect(&$0) }?.resume(returning: true)
    }

    /// Lets a suspected job in when all others have left.
    ///
    /// False once the gate is closed: then the job must not start. Otherwise ``leaveExclusively()`` has to follow.
    func enterExclusively() async -> Bool {
        await withCheckedContinuation { suspect in
            let (isClosed, admitted): (Bool, Waiter?) = state.withLock { state in
                if state.isClosed { return (true, nil) }
                if inside.load(ordering: .acquiring) < Self.barrier {
                    inside.add(Self.barrier, ordering: .acquiringAndReleasing)
                }
                state.suspects.append(suspect)
                return (false, admitSuspect(&state))
            }
            if isClosed { suspect.resume(returning: false) }
            admitted?.resume(returning: true)
        }
    }

    func leaveExclusively() {
        let (suspect, others): (Waiter?, [Waiter]) = state.withLock { state in
            state.isOccupiedAlone = false
            if !state.suspects.isEmpty || state.isClosed { return (admitSuspect(&state), []) }
            let others = state.others
            state.others = []
            inside.add(others.count - Self.barrier, ordering: .acquiringAndReleasing)
            return (nil, others)
        }
        suspect?.resume(returning: true)
        for job in others { job.resume(returning: true) }
    }

    /// Turns away all that wait, and all that come; those inside stay.
    func close() {
        let waiting = state.withLock { state in
            if !state.isClosed, inside.load(ordering: .acquiring) < Self.barrier {
                inside.add(Self.barrier, ordering: .acquiringAndReleasing)
            }
            state.isClosed = true
            let waiting = Array(state.suspects) + state.others
            state.suspects = []
            state.others = []
            return waiting
        }
        for job in waiting { job.resume(returning: false) }
    }

    /// The next suspected job, if the place is empty: a newcomer that is being turned away counts as inside until it has left.
    private func admitSuspect(_ state: inout State) -> Waiter? {
        guard !state.isOccupiedAlone, inside.load(ordering: .acquiring) == Self.barrier,
            let suspect = state.suspects.popFirst()
        else { return nil }
        state.isOccupiedAlone = true
        return suspect
    }
}
