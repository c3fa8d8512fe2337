import AMQP

/// What a journal is told of messages, and how a broker comes back from one.
extension BrokerMachine {
    /// A queue has a message, or has it otherwise than before.
    mutating func noteKept(_ message: StoredMessage, in id: QueueID) {
        guard isJournaled, let queue = queues[id], queue.keeps(message) else { return }
        note(.messageKept(KeptMessage(message, in: queue.name)))
    }

    mutating func noteGone(_ message: StoredMessage, from queue: MessageQueue) {
        guard isJournaled, message.position != StoredMessage.noPosition, queue.keeps(message) else { return }
        note(.messageGone(queue: queue.name, position: message.position))
    }

    mutating func noteGone(_ entry: UnsettledDeliveries.Entry) {
        guard isJournaled, let queue = queues[entry.queue], !queue.isStream else { return }
        noteGone(entry.message, from: queue)
    }

    mutating func noteDelivered(_ message: StoredMessage, from id: QueueID) {
        guard isJournaled, let queue = queues[id], !queue.isStream, queue.keeps(message) else { return }
        note(.messageDelivered(queue: queue.name, position: message.position))
    }

    /// A delivery came back: its position or count may be another.
    mutating func noteReturned(_ entry: UnsettledDeliveries.Entry, as returned: StoredMessage?) {
        guard isJournaled, let returned, queues[entry.queue]?.isStream == false else { return }
        if returned.position != entry.message.position { noteGone(entry) }
        noteKept(returned, in: entry.queue)
    }

    /// A stream has dropped what was beyond its bounds.
    mutating func noteTrimmed(_ positions: [UInt64], of id: QueueID) {
        guard isJournaled, let name = queues[id]?.name else { return }
        for position in positions { note(.messageGone(queue: name, position: position)) }
    }

    /// Makes a change again that a journal kept.
    mutating func restore(_ change: BrokerChange) {
        switch change {
        case .exchangeDeclared(let exchange): exchanges.add(exchange)
        case .exchangeDeleted(let name): _ = exchanges.removeExchange(name)
        case .queueDeclared(let queue): add(queue, queue.arguments.arguments, owner: nil)
        case .queueDeleted(let name): if let id = queueIDs[name] { remove(id) }
        case .bound(let binding): _ = exchanges.add(binding)
        case .unbound(let binding): _ = exchanges.remove(binding)
        case .messageKept(let kept):
            guard let id = queueIDs[kept.queue] else { return }
            queues[id]?.restore(kept)
            restoredDeliveries[id]?.remove(kept.position)
            touch(id)
        case .messageDelivered(let name, let position):
            if let id = queueIDs[name] { restoredDeliveries[id, default: []].insert(position) }
        case .messageGone(let name, let position):
            if let id = queueIDs[name] { queues[id]?.remove(position: position) }
        }
    }

    /// Ends the restoring: nothing of it is to be told again, but what follows from it.
    ///
    /// What was delivered and unsettled comes back as from a lost channel: the process that had it is gone.
    mutating func restored() {
        _ = takeChanges()
        _ = takeEffects()
        for (id, positions) in restoredDeliveries {
            for position in positions.sorted() {
                guard let message = queues[id]?.remove(position: position) else { continue }
                let entry = UnsettledDeliveries.Entry(queue: id, message: message)
                noteReturned(entry, as: queues[id]?.takeBack(message, .channelLost, features: features))
            }
        }
        restoredDeliveries = [:]
        work()
    }
}

extension MessageQueue {
    /// Whether a message here survives the broker's process.
    fileprivate func keeps(_ message: StoredMessage) -> Bool {
        guard declaration.isDurable, owner == nil else { return false }
        return settings.kind != .classic || message.content.message.properties.deliveryMode == .persistent
    }
}

extension KeptMessage {
    fileprivate init(_ message: StoredMessage, in queue: String) {
        self.init(
            queue: queue,
            position: message.position,
            message: message.content.message,
            destination: message.content.destination,
            expiry: message.expiry,
            deliveryCount: message.deliveryCount,
            returnCount: message.returnCount,
            isDeadLettered: message.content.isDeadLettered
        )
    }
}
