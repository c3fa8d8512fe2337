import AMQP

extension BrokerMachine {
    /// Registers a consumer on a new channel.
    mutating func consume(
        _ name: String,
        prefetch: UInt16,
        _ options: ConsumeOptions,
        by connection: ConnectionID
    ) throws(BrokerRefusal) -> ChannelID {
        let queue = try queue(name, for: connection)
        let arguments = options.arguments
        let isExclusivelyUsed = queue.consumers.all.contains { channels[$0]?.consumption?.isExclusive == true }
        if queue.settings.kind == .classic, isExclusivelyUsed || options.isExclusive && !queue.consumers.isEmpty {
            throw BrokerRefusal(403, "ACCESS_REFUSED - queue '\(name)' in vhost '/' in exclusive use")
        }
        if queue.isStream, options.isAutomaticallyAcknowledged {
            throw .notImplemented(
                "automatic acknowledgement not supported by stream queues queue '\(name)' in vhost '/'"
            )
        }
        let channel = ChannelID(number: nextNumber())
        let consumption = Channel.Consumption(
            queue: queue.id,
            name: name,
            prefetch: options.isAutomaticallyAcknowledged ? 0 : Int(prefetch),
            isExclusive: options.isExclusive,
            isAutomaticallyAcknowledged: options.isAutomaticallyAcknowledged,
            priority: try arguments.consumerPriority(queue.name),
            kind: queue.settings.kind,
            timeout: timeout(of: queue.settings),
            start: queue.isStream ? try StreamLog.Start(arguments, ofQueue: name, now: now) : .next
        )
        if queue.isStream, prefetch == 0 {
            throw .precondition("consumer prefetch count is not set for stream queue '\(name)' in vhost '/'")
        }
        channels[channel] = Channel(connection: connection, consumption: consumption, isConsuming: true)
        queues[queue.id]?.addConsumer(channel, consumption, now: now)
        markDirty(queue.id)
        return channel
    }

    /// Stops a consumer's deliveries; those that it has can still be settled.
    mutating func cancel(_ channel: ChannelID) {
        guard let found = channels[channel], found.isConsuming, let consumption = found.consumption else { return }
        channels[channel]?.isConsuming = false
        emit(.end(channel, nil))
        removeConsumer(channel, of: consumption.queue)
        closeIfSettled(channel)
    }

    /// Closes the channel of a consumer that has ended, once its last delivery is settled.
    private mutating func closeIfSettled(_ channel: ChannelID) {
        guard let found = channels[channel], !found.isConsuming, found.consumption != nil, found.unsettled.count == 0
        else { return }
        close(channel)
    }

    /// Closes a channel and requeues its unsettled messages.
    mutating func close(_ channel: ChannelID, _ error: AMQPError? = nil) {
        guard let found = channels[channel] else { return }
        if found.isConsuming { emit(.end(channel, error)) }
        emit(.lose(channel))
        requeueAll(channel)
        channels[channel] = nil
        timetable.disarm(.unsettled(channel))
        if getChannels[found.connection] == channel { getChannels[found.connection] = nil }
        if found.isConsuming, let consumption = found.consumption { removeConsumer(channel, of: consumption.queue) }
    }

    /// Requeues all unsettled messages of a channel.
    mutating func requeueAll(_ channel: ChannelID) {
        for entry in channels[channel]?.unsettled.takeAll() ?? [] {
            totals.requeued += 1
            let returned = queues[entry.queue]?.requeue(entry.message, .channelLost, features: features)
            recordRequeued(entry, as: returned)
            markDirty(entry.queue)
        }
    }

    private mutating func removeConsumer(_ channel: ChannelID, of id: QueueID) {
        queues[id]?.removeConsumer(channel, now: now)
        if queues[id]?.shouldAutoDelete == true { return remove(id) }
        markDirty(id)
    }

    /// Takes one message from a queue.
    mutating func get(_ name: String, by connection: ConnectionID) throws(BrokerRefusal) -> (ChannelID, Delivered)? {
        let queue: MessageQueue
        do throws(BrokerRefusal) {
            queue = try self.queue(name, for: connection)
        } catch {
            // The error closes the channel, and messages got on it are requeued.
            if let channel = getChannels[connection] { close(channel) }
            throw error
        }
        if let refusal = queue.getRefusal {
            if let channel = getChannels[connection] { close(channel) }
            throw refusal
        }
        markDirty(queue.id)
        guard let message = queues[queue.id]?.get(now: now) else { return nil }
        let channel = getChannels[connection] ?? ChannelID(number: nextNumber())
        if getChannels[connection] == nil {
            getChannels[connection] = channel
            channels[channel] = Channel(connection: connection)
        }
        guard
            let delivered = addUnsettled(
                message,
                from: queue.id,
                name,
                queue.settings.kind,
                timeout: timeout(of: queue.settings),
                on: channel
            )
        else { return nil }
        return (channel, delivered)
    }

    /// Settles a delivery; does nothing if it is unknown or settled already.
    mutating func settle(_ tag: UInt64, on channel: ChannelID, _ settlement: DeliverySettlement) {
        guard let entry = channels[channel]?.unsettled.take(tag) else { return }
        let id = entry.queue
        switch settlement {
        case .ack:
            totals.acknowledged += 1
            recordRemoved(entry)
        case .requeue, .reject(requeue: true):
            totals.requeued += 1
            let cause: MessageQueue.RequeueCause = settlement == .requeue ? .nack : .reject
            recordRequeued(entry, as: queues[id]?.requeue(entry.message, cause, features: features))
            markDirty(id)
        case .discard, .reject(requeue: false):
            queues[id]?.discard(entry.message, settlement == .discard ? .nack : .reject)
            markDirty(id)
        }
        if queues[id]?.settled(channel) == true { markDirty(id) }
        closeIfSettled(channel)
    }

    /// Ends all connections.
    mutating func endAll(_ error: AMQPError?) {
        let connections = Set(channels.values.map(\.connection)).union(queues.values.compactMap(\.owner))
        for connection in connections.sorted(by: { $0.number < $1.number }) { end(connection, error) }
    }

    /// Ends a connection with its channels and its exclusive queues.
    mutating func end(_ connection: ConnectionID, _ error: AMQPError? = nil) {
        for channel in channels.filter({ $0.value.connection == connection }).keys.sorted(by: { $0.number < $1.number })
        {
            close(channel, error)
        }
        for queue in queues.values.filter({ $0.owner == connection }) { remove(queue.id) }
    }

    // MARK: Lost connections

    /// Loses a connection, or all of them, and reconnects at once as clients do: what was deleted with the connection
    /// is declared again, and its consumers are registered again.
    mutating func loseConnections(_ lost: ConnectionID? = nil) {
        let channels = channels.filter { lost == nil || $0.value.connection == lost }
        let consuming = channels.filter { $0.value.isConsuming }.keys.sorted { $0.number < $1.number }
        let transient = queues.values
            .filter { queue in queue.owner.map { lost == nil || $0 == lost } ?? queue.declaration.isAutoDelete }
            .sorted { $0.id.number < $1.id.number }
        let bindings = transient.flatMap { exchanges.bindings(toQueue: $0.name) }
        for (id, channel) in channels.sorted(by: { $0.key.number < $1.key.number }) where !channel.isConsuming {
            close(id)
        }
        for id in consuming {
            requeueAll(id)
            timetable.disarm(.unsettled(id))
            if let consumption = channels[id]?.consumption { queues[consumption.queue]?.removeConsumer(id, now: now) }
        }
        for queue in transient where queue.owner != nil || queues[queue.id]?.shouldAutoDelete == true {
            remove(queue.id)
            add(queue.declaration, queue.arguments, owner: queue.owner)
            if queue.declaration.isDurable && queue.owner == nil { record(.queueDeclared(queue.declaration)) }
        }
        for binding in bindings where exchanges[binding.source] != nil && exchanges.add(binding) {
            if isDurable(binding) { record(.bound(binding)) }
        }
        routes.clear()
        for id in consuming { resume(id) }
    }

    /// Registers a channel's consumer again.
    private mutating func resume(_ channel: ChannelID) {
        guard let consumption = channels[channel]?.consumption else { return }
        guard let queue = queueIDs[consumption.name] else {
            channels[channel]?.isConsuming = false
            return emit(.end(channel, .consumerCancelled(queue: consumption.name)))
        }
        emit(.resume(channel))
        channels[channel]?.consumption?.queue = queue
        queues[queue]?.addConsumer(channel, consumption, now: now)
        markDirty(queue)
    }
}

extension FieldTable {
    /// The consumer argument `x-priority`.
    fileprivate func consumerPriority(_ queue: String) throws(BrokerRefusal) -> Int {
        guard let value = self["x-priority"] else { return 0 }
        if let number = value.integerValue { return Int(number) }
        throw .invalidArgument("x-priority", ofQueue: queue, "\"expected integer, got \(value.typeName)\"")
    }
}
