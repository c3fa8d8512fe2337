/// A message that the broker delivered and that waits to be settled: acknowledged, given back, or rejected.
///
/// Settle each delivery once. Settling returns at once and never fails: the client sends it as soon as it can, joined with others.
/// If the channel on which the delivery came is gone, the broker has already taken the message back and will deliver it again, so
/// settling does nothing then. A second settlement of the same delivery does nothing either.
public struct Delivery: Sendable {
    /// The message.
    public var message: Message
    /// Where the message was published to, as the broker says: after dead-lettering, the dead-letter exchange and key.
    public var destination: Destination
    /// The queue from which the delivery came.
    public var queue: String
    /// True if the message may have been delivered before.
    public var isRedelivered: Bool
    /// The delivery's number on its channel.
    public var tag: UInt64
    @usableFromInline let settler: any DeliverySettler

    /// A delivery as a transport hands it over; `settler` is the channel it came on.
    public init(
        message: Message,
        destination: Destination,
        queue: String,
        isRedelivered: Bool,
        tag: UInt64,
        settler: any DeliverySettler
    ) {
        self.message = message
        self.destination = destination
        self.queue = queue
        self.isRedelivered = isRedelivered
        self.tag = tag
        self.settler = settler
    }

    /// True once the channel on which the delivery came is gone: settling does nothing any more, and the broker delivers the message
    /// again.
    ///
    /// Work on it that hasn't begun is better not begun.
    public var isLost: Bool { settler.isGone }

    /// Tells the broker that the message is done with.
    @inlinable
    public func ack() { settler.settle(tag, .ack) }

    /// Hands the message back: to the queue, to be delivered again, or else to the queue's dead-letter exchange.
    ///
    /// Whether a requeue by `nack` counts towards the delivery limit of a quorum queue depends on the version
    /// (``BrokerFeatures/nackCountsTowardsDeliveryLimit``); `reject` is counted everywhere.
    @inlinable
    public func nack(requeue: Bool) { settler.settle(tag, requeue ? .requeue : .discard) }

    /// Rejects the message: back to the queue, or else to the queue's dead-letter exchange.
    @inlinable
    public func reject(requeue: Bool) { settler.settle(tag, .reject(requeue: requeue)) }
}

/// What becomes of a delivery at the broker.
public enum DeliverySettlement: Sendable, Hashable {
    /// `basic.ack`: done.
    case ack
    /// `basic.nack` with requeue: back to the queue.
    case requeue
    /// `basic.nack` without requeue: to the dead-letter exchange, or gone.
    case discard
    /// `basic.reject`.
    case reject(requeue: Bool)
}

/// The channel a delivery came on: what its settlements go through.
public protocol DeliverySettler: AnyObject, Sendable {
    /// Takes a settlement, to be sent soon; does nothing if the channel is gone or the tag was settled before.
    func settle(_ tag: UInt64, _ settlement: DeliverySettlement)
    /// True once the channel is gone.
    var isGone: Bool { get }
}

extension DeliverySettler {
    /// A channel that is never lost.
    public var isGone: Bool { false }
}
