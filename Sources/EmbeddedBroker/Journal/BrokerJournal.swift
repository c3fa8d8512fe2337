package import AMQP

/// Persists a broker's changes, so that its state survives the process.
///
/// Changes arrive in the order of their making. The changes of one call are atomic: all of them are persisted, or none.
package protocol BrokerJournal: Sendable {
    /// Takes changes; returns their number for ``waitUntilPersisted(_:until:)``.
    ///
    /// The broker calls it under its lock, so it only puts them into a buffer.
    func append(_ changes: [BrokerChange]) -> UInt64

    /// Returns once the changes of a number, and all before them, can no longer be lost.
    ///
    /// Only then is a publish confirmed or a declaration answered.
    ///
    /// - Parameter number: The number that ``append(_:)`` returned.
    /// - Parameter deadline: The time at which to give up; `nil` to wait without limit.
    /// - Throws: The error that prevents the write; `confirmTimedOut` after the deadline, `cancelled` if the task is
    ///   cancelled.
    func waitUntilPersisted(_ number: UInt64, until deadline: ContinuousClock.Instant?) async throws(AMQPError)

    /// Persists the rest of the buffer and releases the storage; changes appended later are not persisted.
    func close() async
}

/// A change of the part of a broker's state that survives its process, for a ``BrokerJournal``.
///
/// Recorded are durable exchanges, durable queues that aren't exclusive, bindings between these, and the persistent
/// messages in these queues. A message is identified by its queue and its position, which is never used again in that
/// queue.
package enum BrokerChange: Sendable, Hashable {
    /// An exchange was declared.
    case exchangeDeclared(ExchangeDeclaration)
    /// An exchange was deleted; it may be one that was never recorded.
    case exchangeDeleted(String)
    /// A queue was declared.
    case queueDeclared(QueueDeclaration)
    /// A queue was deleted with its messages.
    case queueDeleted(String)
    /// A binding was added.
    case bound(Binding)
    /// A binding was removed; it may be one that was never recorded.
    case unbound(Binding)
    /// A queue has a ready message: a new one, or a changed one at a position that it had already.
    case messageStored(PersistedMessage)
    /// A message was delivered and is unsettled until it is stored again or removed.
    case messageDelivered(queue: String, position: UInt64)
    /// A queue no longer has a message.
    case messageRemoved(queue: String, position: UInt64)
}

/// A persistent message in a durable queue, in the form that a journal stores.
package struct PersistedMessage: Sendable, Hashable {
    /// The queue's name.
    package var queue: String
    /// The message's position in the queue; later messages have higher ones.
    package var position: UInt64
    /// The message.
    package var message: Message
    /// The destination to which it was published.
    package var destination: Destination
    /// The time of its expiry, since 1970; `nil` if it never expires.
    ///
    /// In a stream, the time at which the message arrived.
    package var expiry: Duration?
    /// The number of requeues that count towards a delivery limit.
    package var deliveryCount: Int
    /// The number of all requeues.
    package var requeueCount: Int
    /// True if its `x-death` headers come from the broker rather than the publisher.
    package var isDeadLettered: Bool

    /// A message that a journal has stored.
    package init(
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
