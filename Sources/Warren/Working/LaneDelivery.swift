import AMQP

/// A delivery and the lane it came from.
struct LaneDelivery: Sendable {
    let delivery: Delivery
    let lane: Lane
    /// The consumer it came from, where the queue has a circuit breaker.
    var use: ConsumerLease?
}
