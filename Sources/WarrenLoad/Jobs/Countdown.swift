import Synchronization

/// Counts down to zero from any number of tasks; one task waits for it.
final class Countdown: Sendable {
    private let left: Atomic<Int>
    private let ends: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    init(from count: Int) {
        left = Atomic(count)
        (ends, end) = AsyncStream.makeStream()
    }

    func countOne() {
        if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { end.finish() }
    }

    func reached() async {
        for await _ in ends {}
    }
}
