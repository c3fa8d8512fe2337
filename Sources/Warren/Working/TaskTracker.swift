import Synchronization

/// Counts who is still at work, and opens a door when the last has left.
final class TaskTracker: Sendable {
    private let present = Atomic(0)
    /// Opens when the last one leaves.
    let over = Latch()

    func enter() { present.add(1, ordering: .relaxed) }

    func leave() {
        if present.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { over.open() }
    }
}
