import AMQP

extension BrokerMachine {
    /// After how long a dead letter is tried again that no queue took.
    ///
    /// Source: the default of RabbitMQ's `dead_letter_worker_publisher_confirm_timeout`.
    private static let retryInterval: Duration = .seconds(180)

    /// Lets messages that leave a queue undone go to its dead-letter exchange, or nowhere.
    mutating func deadLetter(_ letters: [MessageQueue.DeadLetter], of id: QueueID) {
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

    /// Tries again to deliver what no queue took.
    mutating func retryDeadLetters(of id: QueueID) {
        let held = queues[id]?.undeliveredDeadLetters ?? []
        queues[id]?.undeliveredDeadLetters = []
        deadLetter(held, of: id)
        markDirty(id)
    }

    /// Sends a dead letter to its queues; returns whether there are any and all have it.
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

    /// From where the deliveries of a dead letter are counted in a queue.
    private func deliveryCount(of letter: MessageQueue.DeadLetter, from source: QueueKind, in target: QueueID) -> Int {
        guard let kind = queues[target]?.settings.kind else { return 0 }
        return switch features.deadLetterCount(from: source, to: kind) {
        case .nothing: 0
        case .lossesAndDiscard: letter.message.lossCount
        case .lossesAndRejects: letter.message.deliveryCount
        }
    }
}
