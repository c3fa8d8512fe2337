import AMQP
import EmbeddedBroker

/// The changes that the file doesn't have yet, reduced to the present state of everything that changed.
///
/// A value. It keeps only the last change of each thing, so its size is bounded by the broker's own state plus the
/// things in the file that no longer exist, however long the disk refuses to work.
struct PendingChanges: Sendable, Equatable {
    /// The changed exchanges by name; `nil` for a deleted one.
    private(set) var exchanges: [String: ExchangeDeclaration?] = [:]
    /// The changed bindings, and whether each exists.
    private(set) var bindings: [Binding: Bool] = [:]
    /// The changes of queues, by name.
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
                .add(.stored(message, isUnsettled: false), at: message.position)
        case .messageDelivered(let queue, let position):
            queues[queue, default: QueueChanges()].add(.delivered, at: position)
        case .messageRemoved(let queue, let position):
            queues[queue, default: QueueChanges()].add(.removed, at: position)
        }
    }

    /// Adds changes that happened later.
    mutating func add(_ later: PendingChanges) {
        exchanges.merge(later.exchanges) { $1 }
        bindings.merge(later.bindings) { $1 }
        for (name, changes) in later.queues { queues[name, default: QueueChanges()].add(changes) }
    }
}

/// The changes of a queue and its messages since the last write.
struct QueueChanges: Sendable, Equatable {
    /// The last change of a message.
    enum MessageChange: Sendable, Equatable {
        case stored(PersistedMessage, isUnsettled: Bool)
        /// The file has the message, and it has become unsettled.
        case delivered
        case removed
    }

    /// True if a queue of this name in the file is to be deleted first, with its messages.
    private(set) var isReplaced = false
    /// The queue to create.
    private(set) var declaration: QueueDeclaration?
    /// The changes of messages, by position.
    private(set) var messages: [UInt64: MessageChange] = [:]

    init() {}

    mutating func declare(_ queue: QueueDeclaration) { declaration = queue }

    mutating func delete() {
        self = QueueChanges()
        isReplaced = true
    }

    mutating func add(_ change: MessageChange, at position: UInt64) {
        if change == .delivered, case .stored(let message, _) = messages[position] {
            messages[position] = .stored(message, isUnsettled: true)
        } else {
            messages[position] = change
        }
    }

    /// Adds changes that happened later.
    mutating func add(_ later: QueueChanges) {
        if later.isReplaced {
            self = later
        } else {
            if let queue = later.declaration { declare(queue) }
            for (position, change) in later.messages { add(change, at: position) }
        }
    }
}
