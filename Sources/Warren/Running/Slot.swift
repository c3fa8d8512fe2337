import AMQP
import Synchronization

/// A place for one running job of a queue.
///
/// It knows the delivery whose handler is running, so that shutdown or a hard time limit can settle it even if the
/// handler never returns.
final class Slot: Sendable {
    private struct State: Sendable {
        var current: Delivery?
        var isClosed = false
    }

    private let state = Mutex(State())
    private let tracker: TaskTracker

    /// A slot that its worker waits for, until ``close()``.
    init(_ tracker: TaskTracker) {
        self.tracker = tracker
        tracker.enter()
    }

    /// True while a handler runs whose delivery is this slot's to settle.
    var isBusy: Bool { state.withLock { $0.current != nil } }

    /// True if no job may start here any more.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    func begin(_ delivery: Delivery) {
        state.withLock { $0.current = delivery }
    }

    /// Notes that the handler has returned and its delivery is about to be settled.
    ///
    /// Returns false if the delivery was revoked before.
    func finish() -> Bool {
        state.withLock { $0.current.take() } != nil
    }

    /// Takes the delivery away from its handler.
    ///
    /// Returns `nil` if no handler runs, or if it has returned and its delivery is being settled.
    func revoke() -> Delivery? {
        state.withLock { $0.current.take() }
    }

    /// Lets the worker stop waiting for this slot: it is done, or its handler doesn't return.
    func close() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        if isFirst { tracker.leave() }
    }
}
