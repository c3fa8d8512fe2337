import AMQP
import EmbeddedBroker

/// What happened to a queue and its messages since the file was written.
struct QueueChanges: Sendable, Equatable {
    /// What happened to a message: the last thing counts.
    enum MessageChange: Sendable, Equatable {
        case kept(KeptMessage, isUnsettled: Bool)
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
