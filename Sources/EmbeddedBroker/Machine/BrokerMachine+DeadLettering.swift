import AMQP

extension BrokerMachine {
    /// The time after which a dead letter that no queue accepted is tried again.
    ///
    /// Source: the default of RabbitMQ's `dead_letter_worker_publisher_confirm_timeout`.
    private static let retryInterval: Duration = .seconds(180)

    /// Sends dead letters of a queue to its dead-letter exchange; without one they are dropped.
    mutating func deadLetter(_ letters: [MessageQueue.DeadLetter], from id: QueueID) {
        for letter in letters {
            guard let queue = queues[id] else { return }
            guard queue.settings.deadLetterExchange != nil else {
                recordRemoved(letter.message, from: queue)
                continue
            }
            var letter = letter
            if send(&letter, from: queue) || !queue.settings.deadLettersAtLeastOnce {
                recordRemoved(letter.message, from: queue)
            } else {
                queues[id]?.undeliveredDeadLetters.append(letter)
                timetable.arm(.deadLetters(id), at: now + Self.retryInterval)
            }
        }
    }

    /// Tries again to send the dead letters that no queue accepted.
    mutating func retryDeadLetters(of id: QueueID) {
        let undelivered = queues[id]?.undeliveredDeadLetters ?? []
        queues[id]?.undeliveredDeadLetters = []
        deadLetter(undelivered, from: id)
        markDirty(id)
    }

    /// Sends a dead letter to its target queues; returns whether there are any and all have accepted it.
    private mutating func send(_ letter: inout MessageQueue.DeadLetter, from queue: MessageQueue) -> Bool {
        let time = UInt64(max(0, now.components.seconds))
        let content = letter.message.content.deadLettered(
            from: queue,
            letter.reason,
            at: time,
            features: features
        )
        let targets = (self.targets(of: content) ?? []).filter { target in
            letter.reason == .rejected || queues[target].map { !content.wouldCycle(into: $0.name) } ?? false
        }
        var isDelivered = !targets.isEmpty
        for target in targets where !letter.delivered.contains(target) {
            let count = deliveryCount(of: letter, from: queue.settings.kind, in: target)
            if admit(content, to: target, after: count) {
                letter.delivered.insert(target)
            } else {
                isDelivered = false
            }
        }
        return isDelivered
    }

    /// The delivery count with which a dead letter starts in a queue.
    private func deliveryCount(of letter: MessageQueue.DeadLetter, from source: QueueKind, in target: QueueID) -> Int {
        guard let kind = queues[target]?.settings.kind else { return 0 }
        return switch features.deadLetterCount(from: source, to: kind) {
        case .nothing: 0
        case .lossesAndDiscard: letter.message.lossCount
        case .lossesAndRejects: letter.message.deliveryCount
        }
    }
}
