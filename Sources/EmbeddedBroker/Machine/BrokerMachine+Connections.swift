import AMQP

extension BrokerMachine {
    /// Takes a connection down, or all, and lets the clients come back at once, as those do: they declare again what went with the
    /// connection, and consume again.
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
            takeBackAll(id)
            timetable.disarm(.unsettled(id))
            if let consumption = channels[id]?.consumption { queues[consumption.queue]?.removeConsumer(id, now: now) }
        }
        for queue in transient where queue.owner != nil || queues[queue.id]?.isToBeDeleted == true {
            remove(queue.id)
            add(queue.declaration, queue.arguments, owner: queue.owner)
            if queue.declaration.isDurable && queue.owner == nil { note(.queueDeclared(queue.declaration)) }
        }
        for binding in bindings where exchanges[binding.source] != nil && exchanges.add(binding) {
            if isDurable(binding) { note(.bound(binding)) }
        }
        routes.clear()
        for id in consuming { resume(id) }
    }

    /// Registers the consumer of a channel again.
    private mutating func resume(_ channel: ChannelID) {
        guard let consumption = channels[channel]?.consumption else { return }
        guard let queue = queueIDs[consumption.name] else {
            channels[channel]?.isConsuming = false
            return tell(.end(channel, .consumerCancelled(queue: consumption.name)))
        }
        tell(.resume(channel))
        channels[channel]?.consumption?.queue = queue
        queues[queue]?.addConsumer(channel, consumption, now: now)
        touch(queue)
    }
}
