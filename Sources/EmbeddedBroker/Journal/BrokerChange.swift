public import AMQP

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
    case messageKept(KeptMessage)
    /// A message was delivered and is unsettled, until it is kept anew or gone.
    case messageDelivered(queue: String, position: UInt64)
    /// A queue has a message no more.
    case messageGone(queue: String, position: UInt64)
}
