import AMQP
import Logging

/// Consumers, each on its own channel, so that the failure or close of one doesn't affect the others.
extension Connection {
    /// The longest time that the end of a consumer may take: then its caller goes on without the broker's answer.
    private static let endingTime = Duration.seconds(6)

    // MARK: Beginning

    /// Registers a consumer and returns its deliveries.
    nonisolated func consume(
        _ consumption: ConsumerChannel.Consumption,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> DeliveryStream {
        let ref = ConsumerRef()
        ref.connection = self
        let stream = DeliveryStream(
            control: DeliveryStream.Control(
                cancel: { requeuesUnsettled in
                    guard let connection = ref.connection else { return }
                    let ended = Reply<Void>()
                    connection.thread.post { $0.cancelConsumer(ref, ended, requeuesUnsettled: requeuesUnsettled) }
                    await ended.waitRegardless(atMost: Self.endingTime)
                },
                abandon: { ref.connection?.thread.post { $0.cancelConsumer(ref, nil, requeuesUnsettled: false) } }
            )
        )
        stream.source.setRegistered(false)
        let started = Reply<Void>()
        let consumer = ConsumerChannel(consumption, source: stream.source, started: started, ref: ref)
        thread.post { $0.begin(consumer) }
        try await started.value(
            until: deadline,
            late: AMQPError(
                .deadlineExceeded,
                "The broker did not register a consumer of the queue '\(consumption.queue)' within the time limit."
            ),
            cancelled: AMQPError.cancelled("Cancelled before the queue '\(consumption.queue)' could be consumed.")
        )
        return stream
    }

    /// Registers a new consumer, or one that comes from another connection.
    func begin(_ consumer: consuming ConsumerChannel) {
        if let closeError {
            return consumer.end(
                AMQPError(closeError.code, "Can't consume '\(consumer.consumption.queue)': \(closeError.message)")
            )
        }
        suspendedConsumers.append(consumer)
        resumeConsumers(.now)
    }

    /// The error for a consumer or request that finds no free channel.
    var noChannelLeft: AMQPError {
        AMQPError(
            .refused,
            """
            All \(channels.lastNumber) channels of the connection to \(configuration.endpoint) are in use: close consumers \
            first, or raise the broker's channel_max.
            """
        )
    }

    /// Gives a consumer's state machine an event, and sends the method it returns.
    func withConsumer(_ number: UInt16, _ event: (inout ConsumerChannel) -> OutboundMethod?) {
        guard let channel = channels[number], case .consuming(var consumer) = channel.role else { return }
        let method = event(&consumer)
        channel.role = .consuming(consumer)
        if let method { send(method, channel: number) }
        if consumer.hasEnded { closeIfSettled(channel) }
    }

    // MARK: Ending

    private func cancelConsumer(_ ref: ConsumerRef, _ ended: Reply<Void>?, requeuesUnsettled: Bool) {
        if let index = suspendedConsumers.firstIndex(where: { $0.ref === ref }) {
            var consumer = suspendedConsumers.remove(at: index)
            consumer.end()
            ended?.finish(.success(()))
            return retireIfUnused()
        }
        guard let id = ref.channel, let channel = channels[id.number], channel.id == id else {
            ended?.finish(.success(()))
            return
        }
        switch channel.role {
        case .consuming:
            guard requeuesUnsettled else { return withConsumer(id.number) { $0.cancel(ended) } }
            channel.requeuesUnsettled = true
            if let ended { channel.closeWaiters.append(ended) }
            withConsumer(id.number) { $0.cancel(nil) }
        case .closing(var waiters) where requeuesUnsettled:
            if let ended { waiters.append(ended) }
            channel.role = .closing(waiters)
        case .closing, .publishing, .requests: ended?.finish(.success(()))
        }
    }

    /// Closes the channel of a consumer that has ended, once its last delivery is settled.
    func closeIfSettled(_ channel: OpenChannel) {
        guard case .consuming(let consumer) = channel.role, consumer.hasEnded else { return }
        // Before the close: a settlement on a closed channel makes the broker close the connection.
        channel.deliverBatch()
        settle(channel, .now)
        // Sending may have lost the connection.
        guard channels[channel.id.number] === channel else { return }
        if channel.requeuesUnsettled {
            channel.settler?.invalidate()
        } else if !channel.hasSettledAll() {
            return
        }
        if let time = channel.recentSettlements.processed(after: .now) {
            closings[channel.id] = time
            return
        }
        closings[channel.id] = nil
        channel.settler?.invalidate()
        channel.role = .closing(channel.closeWaiters)
        send(.channelClose, channel: channel.id.number)
        retireIfUnused()
    }

    /// Closes the channels whose last settlements the broker has processed by now.
    func closeSettledChannels(_ now: ContinuousClock.Instant) {
        guard !closings.isEmpty else { return }
        for (id, time) in closings where time <= now {
            closings[id] = nil
            if let channel = channels[id.number], channel.id == id { closeIfSettled(channel) }
        }
    }

    /// Handles the end of the last delivery of a consumer that has ended: what isn't settled never will be.
    func deliveriesGone(of id: ChannelID) {
        if let channel = channels[id.number], channel.id == id { closeIfSettled(channel) }
    }

    // MARK: Settlements

    /// Passes settlements to their channels and sends the resulting frames.
    func settle(_ requests: [SettlementRequest], _ now: ContinuousClock.Instant) {
        guard !requests.isEmpty else { return }
        var late = 0
        // Mostly one: the channels whose settlements are sent, in the order of the first.
        var settled: [OpenChannel] = []
        for request in requests {
            guard let channel = channels[request.channel.number], channel.enqueue(request) else {
                late += 1
                continue
            }
            if settled.last !== channel && !settled.contains(where: { $0 === channel }) { settled.append(channel) }
        }
        if late > 0 {
            counters.count(lateSettlements: late)
            logger.debug("Settlements arrived after their channel was gone", metadata: [LogKey.count: "\(late)"])
        }
        for channel in settled {
            settle(channel, now)
            if case .consuming(let consumer) = channel.role, consumer.hasEnded { closeIfSettled(channel) }
        }
    }

    /// Sends the settlements that wait on a channel.
    private func settle(_ channel: OpenChannel, _ now: ContinuousClock.Instant) {
        guard channel.settlements.hasWork else { return }
        var methods: [OutboundMethod] = []
        channel.settlements.flush { methods.append($0) }
        channel.recentSettlements.note(methods.count, at: now)
        if methods.count > 1 { socket?.cork(true) }
        for method in methods { send(method, channel: channel.id.number) }
        if methods.count > 1 { socket?.cork(false) }
    }

    // MARK: Recovery

    /// The next time at which a suspended consumer may be registered; `nil` if that waits for something else.
    var nextResumption: ContinuousClock.Instant? {
        guard !suspendedConsumers.isEmpty, mayResume else { return nil }
        return suspendedConsumers.lazy.compactMap(\.resumesAt).min()
    }

    /// False while what the consumers need is being declared again.
    private var mayResume: Bool { socket != nil && requests[.topology]?.isRedeclaring != true }

    /// Registers the suspended consumers that may be registered now.
    func resumeConsumers(_ now: ContinuousClock.Instant) {
        guard !suspendedConsumers.isEmpty, mayResume else { return }
        let consumers = suspendedConsumers
        suspendedConsumers = []
        var waiting: [ConsumerChannel] = []
        for var consumer in consumers {
            if consumer.isAbandoned {
                consumer.end()
            } else if socket == nil || consumer.resumesAt.map({ $0 > now }) == true {
                // Also those for which the sockets was lost meanwhile.
                waiting.append(consumer)
            } else if openChannel(.consuming(consumer)) == nil {
                consumer.end(noChannelLeft)
            }
        }
        suspendedConsumers += waiting
        retireIfUnused()
    }

    /// Handles the close of a consumer's channel by the broker: the queue may have to be declared again, or may be free
    /// soon.
    func channelClosed(of consumer: consuming ConsumerChannel, _ reply: BrokerReply) {
        switch consumer.channelClosed(reply, now: .now) {
        case .redeclare:
            suspendedConsumers.append(consumer)
            redeclareAll()
            resumeConsumers(.now)
        case .retryLater: suspendedConsumers.append(consumer)
        case .ended: retireIfUnused()
        }
    }

    /// Suspends the consumers of a connection that is lost.
    ///
    /// - Parameters:
    ///   - fault: The broker's reason, if it closed the connection for an error.
    ///   - method: The number of the method that was the cause, if the broker named one.
    func suspendConsumers(_ fault: BrokerReply?, by method: UInt32) {
        let suspects = suspects(fault, by: method)
        for channel in channels.open {
            channel.settler?.invalidate()
            switch channel.role {
            case .consuming(var consumer):
                let offset = channel.stream.next(firstUnsettled: channel.settlements.firstUnsettledTag)
                let isSuspect = suspects.channels.contains(channel.id.number)
                let resumes =
                    if let fault, isSuspect, suspects.areCulprits {
                        consumer.refusedWithConnection(fault, now: .now)
                    } else {
                        consumer.connectionLost(streamOffset: offset)
                    }
                // A culprit would take all others down with it again and again.
                if resumes, !isSuspect || isolate?(consumer) != true { suspendedConsumers.append(consumer) }
                for waiter in channel.closeWaiters { waiter.finish(.success(())) }
            case .closing(let waiters):
                for waiter in waiters { waiter.finish(.success(())) }
            case .publishing, .requests: break
            }
        }
        closings = [:]
    }

    /// The channels of the consumers because of which the broker may have closed the connection, and whether it did
    /// because of each of them.
    ///
    /// Those are the ones whose queue it names, or the only one that was being registered. RabbitMQ 3.10 and 4.0 name
    /// neither method nor queue if the queue has no leader: then each that was being registered may be the cause.
    private func suspects(_ fault: BrokerReply?, by method: UInt32) -> (channels: Set<UInt16>, areCulprits: Bool) {
        let isConsume = method == OutboundMethod.consume(queue: "", ConsumeOptions()).number
        guard let fault, isConsume || method == 0 else { return ([], false) }
        let starting = channels.open.compactMap { channel -> (number: UInt16, queue: String)? in
            guard case .consuming(let consumer) = channel.role, consumer.isStarting else { return nil }
            return (channel.id.number, consumer.consumption.queue)
        }
        let named = starting.filter { fault.text.contains("queue '\($0.queue)' in vhost") }
        let isAlone = starting.count == 1 && (isConsume || isIsolated)
        return (Set((named.isEmpty ? starting : named).map(\.number)), !named.isEmpty || isAlone)
    }
}
