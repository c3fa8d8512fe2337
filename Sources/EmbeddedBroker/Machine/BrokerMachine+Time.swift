import AMQP

extension BrokerMachine {
    /// Does all that is due by now.
    mutating func runDue() {
        while let event = timetable.popDue(now) {
            switch event {
            case .firstMessage(let id): markDirty(id)
            case .queueExpiry(let id): expireQueue(id)
            case .unsettled(let channel): checkConsumerTimeout(channel)
            case .deadLetters(let id): retryDeadLetters(of: id)
            }
            // One event at a time, so that simultaneous events have one order.
            work()
        }
    }

    /// Arms the timers for a queue's next due events.
    mutating func armTimer(of id: QueueID) {
        guard let queue = queues[id] else { return }
        if let expiry = queue.nextMessageExpiry { timetable.arm(.firstMessage(id), at: expiry) }
        if let expiry = queue.queueExpiry { timetable.arm(.queueExpiry(id), at: expiry) }
    }

    private mutating func expireQueue(_ id: QueueID) {
        guard let expiry = queues[id]?.queueExpiry else { return }
        if expiry <= now { remove(id) } else { timetable.arm(.queueExpiry(id), at: expiry) }
    }

    // MARK: Consumer timeout

    /// Sets the limit for how long deliveries made from now on may stay unsettled.
    mutating func setConsumerTimeout(_ timeout: ConsumerTimeout) {
        consumerTimeout = timeout
        for (id, channel) in channels {
            guard let consumption = channel.consumption, let settings = queues[consumption.queue]?.settings else {
                continue
            }
            let timeout = self.timeout(of: settings)
            channels[id]?.consumption?.timeout = timeout
        }
    }

    /// The limit for how long a delivery of a queue may stay unsettled; `nil` for none.
    func timeout(of settings: QueueSettings) -> Duration? {
        guard features.hasConsumerTimeout(of: settings.kind), settings.kind != .stream else { return nil }
        if let own = settings.consumerTimeout { return own }
        return switch consumerTimeout {
        case .byDefault: features.defaultConsumerTimeout(of: settings.kind)
        case .after(let duration): duration
        case .never: nil
        }
    }

    private mutating func checkConsumerTimeout(_ channel: ChannelID) {
        guard let found = channels[channel], let entry = found.unsettled.mostUrgent, let deadline = entry.deadline,
            let queue = queues[entry.queue]
        else { return }
        if deadline > now { return timetable.arm(.unsettled(channel), at: deadline) }
        let timeout = (found.consumption?.timeout ?? timeout(of: queue.settings) ?? .zero).wholeMilliseconds
        let text =
            "delivery acknowledgement on channel 1 timed out. Timeout value used: \(timeout) ms. "
            + "This timeout value can be configured, see consumers doc guide to learn more"
        switch features.consumerTimeoutResponse {
        case .closesChannel:
            let reply = BrokerRefusal.precondition(text).reply
            close(
                channel,
                .consumerChannelClosed(queue: queue.name, reply)
            )
        case .cancelsConsumer:
            guard found.isConsuming else { return close(channel) }
            channels[channel]?.isConsuming = false
            emit(.end(channel, .consumerTimedOut(queue.name)))
            emit(.lose(channel))
            requeueAll(channel)
            queues[queue.id]?.removeConsumer(channel, now: now)
            markDirty(queue.id)
        }
    }
}

extension AMQPError {
    fileprivate static func consumerTimedOut(_ queue: String) -> AMQPError {
        AMQPError(
            .consumerCancelled,
            """
            The broker cancelled the consumer of the queue '\(queue)': a delivery was not settled within the consumer \
            timeout. Its deliveries were requeued; consume again.
            """
        )
    }
}

extension Duration {
    /// Whole milliseconds, rounded down.
    fileprivate var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }
}
