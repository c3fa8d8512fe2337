import AMQP

/// Deliveries that were looked at and are to go back when the look is over: handed back at once, they would be seen again and again.
///
/// It keeps no message, only the right to settle, so a pile is small whatever it holds.
struct BrowsedDeliveries {
    /// How many deliveries a look may keep from the broker's queue at a time; more than that is not looked through.
    static let limit = 100_000

    private var deliveries: [Delivery] = []

    var count: Int { deliveries.count }
    var hasRoom: Bool { deliveries.count < Self.limit }

    mutating func add(_ delivery: Delivery) {
        var bare = delivery
        bare.message = Message(body: [])
        deliveries.append(bare)
    }

    /// Gives all back to their queue.
    ///
    /// If this process dies before, the broker does the same.
    mutating func requeue() {
        for delivery in deliveries { delivery.nack(requeue: true) }
        deliveries = []
    }
}
