/// A delivered message that has yet to be settled: acknowledged, requeued or rejected.
///
/// Settle each delivery once. Settling returns immediately and never fails: the client sends the settlement as soon as
/// it can, together with others. If the delivery's channel is gone, the broker has already requeued the message and
/// will deliver it again, so settling does nothing. Neither does a second settlement of the same delivery.
public struct Delivery: Sendable {
    /// The message.
    public var message: Message
    /// The destination to which the message was published, as the broker reports it: after dead-lettering, the
    /// dead-letter exchange and key.
    public var destination: Destination
    /// The queue from which the delivery came.
    public var queue: String
    /// True if the message may have been delivered before.
    public var isRedelivered: Bool
    /// The delivery's number on its channel.
    public var tag: UInt64
    @usableFromInline let settler: any DeliverySettler

    /// Creates a delivery, for transports; `settler` is the channel on which it arrived.
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

    /// True once the delivery's channel is gone: settling no longer has an effect, and the broker delivers the message
    /// again.
    ///
    /// Don't start work on a lost delivery.
    public var isLost: Bool { settler.isGone }

    /// Acknowledges the message: the broker removes it from its queue.
    @inlinable
    public func ack() { settler.settle(tag, .ack) }

    /// Returns the message by `basic.nack`: to its queue, to be delivered again, or else to the queue's dead-letter
    /// exchange.
    ///
    /// A requeue by `nack` counts towards the delivery limit of a quorum queue before RabbitMQ 4.3, and not since; a
    /// requeue by `reject` counts on every version.
    @inlinable
    public func nack(requeue: Bool) { settler.settle(tag, requeue ? .requeue : .discard) }

    /// Rejects the message by `basic.reject`: it returns to its queue, or else goes to the queue's dead-letter
    /// exchange.
    @inlinable
    public func reject(requeue: Bool) { settler.settle(tag, .reject(requeue: requeue)) }
}

/// The settlement of a delivery.
public enum DeliverySettlement: Sendable, Hashable {
    /// `basic.ack`: done.
    case ack
    /// `basic.nack` with requeue: back to the queue.
    case requeue
    /// `basic.nack` without requeue: dead-lettered, or dropped.
    case discard
    /// `basic.reject`.
    case reject(requeue: Bool)
}

/// The channel on which a delivery arrived, and through which it is settled.
public protocol DeliverySettler: AnyObject, Sendable {
    /// Accepts a settlement, to be sent soon; does nothing if the channel is gone or the tag was settled before.
    func settle(_ tag: UInt64, _ settlement: DeliverySettlement)
    /// True once the channel is gone.
    var isGone: Bool { get }
}

extension DeliverySettler {
    /// False, for a channel that is never lost.
    public var isGone: Bool { false }
}
