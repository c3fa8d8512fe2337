@testable import Warren

/// A door that opens once and doesn't mind cancellation, as a handler that is stuck.
final class Gate: Sendable {
    private let latch = Latch()

    func open() { latch.open() }

    func wait() async {
        // A shield: the task that waits is cancelled, and must wait on.
        await Task { await latch.wait() }.value
    }
}
