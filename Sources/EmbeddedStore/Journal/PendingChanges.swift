import AMQP
import EmbeddedBroker

/// What the file is still to learn: of everything that changed, how it is now.
///
/// A value. Only the last change of each thing is kept, so it never grows beyond what the broker itself has plus what the file has of
/// things that are gone, however long the disk refuses to work.
struct PendingChanges: Sendable, Equatable {
    /// By name; `nil` where the exchange is gone.
    private(set) var exchanges: [String: ExchangeDeclaration?] = [:]
    /// Whether each is there.
    private(set) var bindings: [Binding: Bool] = [:]
    /// By name.
    private(set) var queues: [String: QueueChanges] = [:]

    var isEmpty: Bool { exchanges.isEmpty && bindings.isEmpty && queues.isEmpty }

    mutating func add(_ change: BrokerChange) {
        switch change {
        case .exchangeDeclared(let exchange): exchanges[exchange.name] = .some(exchange)
        case .exchangeDeleted(let name): exchanges[name] = .some(nil)
        case .bound(let binding): bindings[binding] = true
        case .unbound(let binding): bindings[binding] = false
        case .queueDeclared(let queue): queues[queue.name, default: QueueChanges()].declare(queue)
        case .queueDeleted(let name): queues[name, default: QueueChanges()].delete()
        case .messageKept(let message):
            queues[message.queue, default: QueueChanges()]
                .add(.kept(message, isUnsettled: false), at: message.position)
        case .messageDelivered(let queue, let position):
            queues[queue, default: QueueChanges()].add(.delivered, at: position)
        case .messageGone(let queue, let position):
            queues[queue, default: QueueChanges()].add(.gone, at: position)
        }
    }

    /// Adds what happened after all this.
    mutating func add(_ later: PendingChanges) {
        exchanges.merge(later.exchanges) { $1 }
        bindings.merge(later.bindings) { $1 }
        for (name, changes) in later.queues { queues[name, default: QueueChanges()].add(changes) }
    }
}
