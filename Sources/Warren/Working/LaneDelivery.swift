import AMQP

/// A delivery and the lane it came from.
struct LaneDelivery: Sendable {
    let delivery: Delivery
    let lane: Lane
}
