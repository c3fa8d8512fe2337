import AMQP

// The changes that a journal gets, and the restoring of a broker from them.

extension BrokerMachine {
    /// Records that a queue has a message, or that the message has changed.
    mutating func recordStored(_ message: StoredMessage, in id: QueueID) {
        guard isJournaled, let queue = queues[id], queue.keeps(message) else { return }
        record(.messageStored(PersistedMessage(message, in: queue.name)))
    }

    mutating func recordRemoved(_ message: StoredMessage, from queue: MessageQueue) {
        guard isJournaled, message.position != StoredMessage.noPosition, queue.keeps(message) else { return }
        record(.messageRemoved(queue: queue.name, position: message.position))
    }

    mutating func recordRemoved(_ entry: UnsettledDeliveries.Entry) {
        guard isJournaled, let queue = queues[entry.queue], !queue.isStream else { return }
        recordRemoved(entry.message, from: queue)
    }

    mutating func recordDelivered(_ message: StoredMessage, from id: QueueID) {
        guard isJournaled, let queue = queues[id], !queue.isStream, queue.keeps(message) else { return }
        record(.messageDelivered(queue: queue.name, position: message.position))
    }

    /// Records that a delivery was requeued: its position or counts may have changed.
    mutating func recordRequeued(_ entry: UnsettledDeliveries.Entry, as returned: StoredMessage?) {
        guard isJournaled, let returned, queues[entry.queue]?.isStream == false else { return }
        if returned.position != entry.message.position { recordRemoved(entry) }
        recordStored(returned, in: entry.queue)
    }

    /// Records that a stream has dropped messages beyond its limits.
    mutating func recordTrimmed(_ positions: [UInt64], of id: QueueID) {
        guard isJournaled, let name = queues[id]?.name else { return }
        for position in positions { record(.messageRemoved(queue: name, position: position)) }
    }

    /// Applies a change that a journal has persisted.
    mutating func restore(_ change: BrokerChange) {
        switch change {
        case .exchangeDeclared(let exchange): exchanges.add(exchange)
        case .exchangeDeleted(let name): _ = exchanges.removeExchange(name)
        case .queueDeclared(let queue): add(queue, queue.arguments.arguments, owner: nil)
        case .queueDeleted(let name): if let id = queueIDs[name] { remove(id) }
        case .bound(let binding): _ = exchanges.add(binding)
        case .unbound(let binding): _ = exchanges.remove(binding)
        case .messageStored(let kept):
            guard let id = queueIDs[kept.queue] else { return }
            queues[id]?.restore(kept)
            restoredDeliveries[id]?.remove(kept.position)
            markDirty(id)
        case .messageDelivered(let name, let position):
            if let id = queueIDs[name] { restoredDeliveries[id, default: []].insert(position) }
        case .messageRemoved(let name, let position):
            if let id = queueIDs[name] { queues[id]?.remove(position: position) }
        }
    }

    /// Ends the restoring: its changes aren't recorded again, only those that follow from it.
    ///
    /// Messages that were unsettled are requeued as from a lost channel, because the process that had them is gone.
    mutating func finishRestoring() {
        _ = takeChanges()
        _ = takeEffects()
        for (id, positions) in restoredDeliveries {
            for position in positions.sorted() {
                guard let message = queues[id]?.remove(position: position) else { continue }
                let entry = UnsettledDeliveries.Entry(queue: id, message: message)
                recordRequeued(entry, as: queues[id]?.requeue(message, .channelLost, features: features))
            }
        }
        restoredDeliveries = [:]
        work()
    }
}

extension MessageQueue {
    /// Returns whether a message in this queue survives the broker's process.
    fileprivate func keeps(_ message: StoredMessage) -> Bool {
        guard declaration.isDurable, owner == nil else { return false }
        return settings.kind != .classic || message.content.message.properties.deliveryMode == .persistent
    }
}

extension PersistedMessage {
    fileprivate init(_ message: StoredMessage, in queue: String) {
        self.init(
            queue: queue,
            position: message.position,
            message: message.content.message,
            destination: message.content.destination,
            expiry: message.expiry,
            deliveryCount: message.deliveryCount,
            requeueCount: message.requeueCount,
            isDeadLettered: message.content.isDeadLettered
        )
    }
}
