import Synchronization

/// The outcomes of a queue's jobs that can't be stored at present: while there are any, no job of the queue starts in
/// this worker.
final class UnstoredOutcomes: Sendable {
    private struct State: Sendable {
        /// The reasons, by number.
        var reasons: [Int: String] = [:]
        var nextNumber = 0
        /// Opens when all are stored.
        var allStored: Latch?
    }

    private let count = Atomic(0)
    private let state = Mutex(State())

    /// True unless an outcome waits to be stored.
    var isEmpty: Bool { count.load(ordering: .relaxed) == 0 }

    /// The reason of one of them; `nil` if there is none.
    var reason: String? { isEmpty ? nil : state.withLock { $0.reasons.min { $0.key < $1.key }?.value } }

    /// Notes an outcome that can't be stored, and returns its number.
    func add(_ reason: String) -> Int {
        state.withLock { state in
            state.nextNumber += 1
            state.reasons[state.nextNumber] = reason
            if state.allStored == nil { state.allStored = Latch() }
            count.store(state.reasons.count, ordering: .relaxed)
            return state.nextNumber
        }
    }

    /// Forgets an outcome that is stored or given up.
    func remove(_ number: Int) {
        let allStored: Latch? = state.withLock { state in
            state.reasons[number] = nil
            count.store(state.reasons.count, ordering: .relaxed)
            return state.reasons.isEmpty ? state.allStored.take() : nil
        }
        allStored?.open()
    }

    /// Waits until there is none, or until the other latch opens.
    func wait(or closed: Latch) async {
        while !closed.isOpen, let allStored = state.withLock(\.allStored) { await allStored.wait(or: closed) }
    }
}
