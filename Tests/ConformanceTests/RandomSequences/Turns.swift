import Synchronization

/// Which seed is next, until all were had or enough has failed.
final class Turns: Sendable {
    private let state: Mutex<(next: UInt64, failures: Int)>
    private let end: UInt64

    init(from first: UInt64, count: Int) {
        state = Mutex((first, 0))
        end = first + UInt64(count)
    }

    func next() -> UInt64? {
        state.withLock { state in
            guard state.next < end, state.failures < 5 else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    func countFailure() { state.withLock { $0.failures += 1 } }
}
