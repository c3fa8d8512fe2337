import AMQP
import Synchronization

/// A place for one running job of a queue.
///
/// It knows which delivery it has in hand, so that shutdown can hand it back over the head of a handler that doesn't
/// return.
final class Slot: Sendable {
    private let inHand = Mutex<Delivery?>(nil)

    func begin(_ delivery: Delivery) {
        inHand.withLock { $0 = delivery }
    }

    /// Says that the handler is done and the delivery will now be settled.
    ///
    /// False if it was taken away meanwhile.
    func finish() -> Bool {
        inHand.withLock { $0.take() } != nil
    }

    /// Takes the delivery away from the handler; `nil` if it has none, or is done and its delivery is being settled.
    func takeAway() -> Delivery? {
        inHand.withLock { $0.take() }
    }
}
