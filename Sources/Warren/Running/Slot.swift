import AMQP
import Synchronization

/// A place for one running job of a queue.
///
/// It knows which delivery it has in hand, so that shutdown or a hard time limit can settle it over the head of a handler that doesn't
/// return.
final class Slot: Sendable {
    private struct State: Sendable {
        var inHand: Delivery?
        var hasLeft = false
    }

    private let state = Mutex(State())
    private let attendance: TaskTracker

    /// A slot whose worker waits for it.
    init(_ attendance: TaskTracker) {
        self.attendance = attendance
        attendance.enter()
    }

    /// True while a handler runs whose job is this slot's to settle.
    var isBusy: Bool { state.withLock { $0.inHand != nil } }

    /// True if no job may be begun here any more.
    var hasLeft: Bool { state.withLock { $0.hasLeft } }

    func begin(_ delivery: Delivery) {
        state.withLock { $0.inHand = delivery }
    }

    /// Says that the handler is done and the delivery will now be settled.
    ///
    /// False if it was taken away meanwhile.
    func finish() -> Bool {
        state.withLock { $0.inHand.take() } != nil
    }

    /// Takes the delivery away from the handler; `nil` if it has none, or is done and its delivery is being settled.
    func takeAway() -> Delivery? {
        state.withLock { $0.inHand.take() }
    }

    /// Says that the worker need not wait for this slot any more: it is done, or its handler doesn't return.
    func leave() {
        let isFirst = state.withLock { state in
            defer { state.hasLeft = true }
            return !state.hasLeft
        }
        if isFirst { attendance.leave() }
    }
}
