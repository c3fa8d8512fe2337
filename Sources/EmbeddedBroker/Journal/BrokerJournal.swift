public import AMQP

/// Where a broker's changes are kept, so that they survive its process.
///
/// Changes come in their order. Those of one call belong together: all of them are kept, or none.
public protocol BrokerJournal: Sendable {
    /// Takes changes to be kept; returns a number for ``waitUntilPersisted(_:until:)``.
    ///
    /// The broker calls this under its lock: it only puts them into a buffer.
    func append(_ changes: [BrokerChange]) -> UInt64

    /// Returns when the changes of a number, and all before, can't be lost any more.
    ///
    /// A publish is confirmed, and a declaration answered, only after that.
    ///
    /// - Parameter deadline: When to give up; `nil` for never.
    /// - Throws: Why they can't be kept; `confirmTimedOut` after the deadline, `cancelled` if the task is cancelled.
    func waitUntilPersisted(_ number: UInt64, until deadline: ContinuousClock.Instant?) async throws(AMQPError)

    /// Keeps what is still in the buffer and gives its place up for others; what is appended later is not kept.
    func close() async
}

/// A change of a broker's state that survives the broker's process: what a ``BrokerJournal`` keeps.
///
/// Only durable exchanges, durable queues that no connection has to itself, bindings between those, and persistent messages in those
/// queues are told. A message is named by its queue and its position there, which is never used again in that queue.
public enum BrokerChange: Sendable, Hashable {
    /// An exchange was declared.
    case exchangeDeclared(ExchangeDeclaration)
    /// An exchange is gone; it may have been one that was never told.
    case exchangeDeleted(String)
    /// A queue was declared.
    case queueDeclared(QueueDeclaration)
    /// A queue is gone, with its messages.
    case queueDeleted(String)
    /// A binding was added.
    case bound(Binding)
    /// A binding was removed; it may have been one that was never told.
    case unbound(Binding)
    /// A queue has a message, ready: a new one, or one that it has already, changed.
    case messageStored(PersistedMessage)
    /// A message was delivered and is unsettled, until it is kept anew or gone.
    case messageDelivered(queue: String, position: UInt64)
    /// A queue has a message no more.
    case messageRemoved(queue: String, position: UInt64)
}

/// A persistent message in a durable queue, as a journal keeps it.
public struct PersistedMessage: Sendable, Hashable {
    /// The queue that has it.
    public var queue: String
    /// Its place in the queue: later messages have higher ones.
    public var position: UInt64
    /// The message.
    public var message: Message
    /// Where it was published to.
    public var destination: Destination
    /// When it expires, as time since 1970; `nil` if never.
    ///
    /// In a stream it is when the message came.
    public var expiry: Duration?
    /// How often it came back, as far as that counts towards a delivery limit.
    public var deliveryCount: Int
    /// How often it came back.
    public var requeueCount: Int
    /// Whether the broker wrote its `x-death` headers, and not the publisher.
    public var isDeadLettered: Bool

    /// A message as a journal kept it.
    public init(
        queue: String,
        position: UInt64,
        message: Message,
        destination: Destination,
        expiry: Duration? = nil,
        deliveryCount: Int = 0,
        requeueCount: Int = 0,
        isDeadLettered: Bool = false
    ) {
        self.queue = queue
        self.position = position
        self.message = message
        self.destination = destination
        self.expiry = expiry
        self.deliveryCount = deliveryCount
        self.requeueCount = requeueCount
        self.isDeadLettered = isDeadLettered
    }
}
