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
        case .messageStored(let message):
            queues[message.queue, default: QueueChanges()]
                .add(.kept(message, isUnsettled: false), at: message.position)
        case .messageDelivered(let queue, let position):
            queues[queue, default: QueueChanges()].add(.delivered, at: position)
        case .messageRemoved(let queue, let position):
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

/// What happened to a queue and its messages since the file was written.
struct QueueChanges: Sendable, Equatable {
    /// What happened to a message: the last thing counts.
    enum MessageChange: Sendable, Equatable {
        case kept(PersistedMessage, isUnsettled: Bool)
        /// The file has it, and now it is unsettled.
        case delivered
        case gone
    }

    /// Whether the queue that the file may have under this name goes first, with its messages.
    private(set) var isReplaced = false
    /// The queue to make.
    private(set) var declaration: QueueDeclaration?
    /// By position.
    private(set) var messages: [UInt64: MessageChange] = [:]

    init() {}

    mutating func declare(_ queue: QueueDeclaration) { declaration = queue }

    mutating func delete() {
        self = QueueChanges()
        isReplaced = true
    }

    mutating func add(_ change: MessageChange, at position: UInt64) {
        if change == .delivered, case .kept(let message, _) = messages[position] {
            messages[position] = .kept(message, isUnsettled: true)
        } else {
            messages[position] = change
        }
    }

    /// Adds what happened after all this.
    mutating func add(_ later: QueueChanges) {
        if later.isReplaced {
            self = later
        } else {
            if let queue = later.declaration { declare(queue) }
            for (position, change) in later.messages { add(change, at: position) }
        }
    }
}
