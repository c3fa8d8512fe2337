@testable import Warren

/// A one-shot event whose waiters ignore cancellation, as a stuck handler does.
final class Gate: Sendable {
    private let latch = Latch()

    func open() { latch.open() }

    func wait() async {
        // A cancellation shield: the waiting task is cancelled, and must keep waiting.
        await Task { await latch.wait() }.value
    }
}
