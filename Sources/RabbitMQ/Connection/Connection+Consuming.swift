import AMQP
import Logging

/// Consumers, each on its own channel, so that the failure or close of one doesn't affect the others.
extension Connection {
    /// The largest number of settlements that may be on their way to a quorum queue when its channel is closed.
    ///
    /// RabbitMQ's channel process holds back those beyond 32 until the queue has processed the others, and drops them
    /// when it ends: seen on 3.10.8. A `basic.get` makes it wait for all of them; the message that the get fetches is
    /// requeued when the channel closes.
    private static let settlementsInFlightLimit = 16
    /// The pause before a consumer tries again a queue that another connection holds exclusively: often this client's
    /// own previous connection, which the broker hasn't given up yet.
    private static let lockedQueuePause = Duration.seconds(1)

    /// Registers a consumer and returns its deliveries.
    func consume(
        _ consumption: ConsumerChannel.Consumption,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> DeliveryStream {
        if let closeError {
            throw AMQPError(closeError.code, "Can't consume '\(consumption.queue)': \(closeError.message)")
        }
        let ref = ConsumerChannelRef()
        let stream = DeliveryStream(
            control: DeliveryStream.Control(
                cancel: { [weak self] in await self?.cancelConsumer(ref) },
                close: { [weak self] in await self?.closeConsumer(ref) }
            )
        )
        stream.setRegistered(false)
        let started = Reply<Void>()
        let consumer = ConsumerChannel(consumption, stream: stream, started: started, ref: ref)
        if socket == nil {
            suspendedConsumers.append(consumer)
        } else if openChannel(.consuming(consumer)) == nil {
            throw noChannelLeft
        }
        try await started.value(
            until: deadline,
            late: AMQPError(
                .deadlineExceeded,
                "The broker did not register a consumer of the queue '\(consumption.queue)' within the time limit."
            ),
            cancelled: AMQPError(.cancelled, "Cancelled before the queue '\(consumption.queue)' could be consumed.")
        )
        return stream
    }

    private func cancelConsumer(_ ref: ConsumerChannelRef) async {
        if let index = suspendedConsumers.firstIndex(where: { $0.ref === ref }) {
            var consumer = suspendedConsumers.remove(at: index)
            return consumer.end()
        }
        guard let id = ref.id, let channel = channels[id.number], channel.id == id,
            case .consuming = channel.role
        else { return }
        let reply = Reply<Void>()
        withConsumer(id.number) { $0.cancel(reply) }
        try? await reply.value(cancelled: AMQPError(.cancelled, "Cancelled before the consumer was cancelled."))
    }

    private func closeConsumer(_ ref: ConsumerChannelRef) async {
        // A quorum queue may lose acknowledgements that are sent just before the channel closes; a cancel waits for
        // them.
        await cancelConsumer(ref)
        guard let id = ref.id, channels[id.number]?.id == id else { return }
        let reply = Reply<Void>()
        closeConsumer(id.number, reply)
        try? await reply.value(cancelled: AMQPError(.cancelled, "Cancelled before the consumer was closed."))
    }

    /// Ends a consumer and closes its channel.
    func closeConsumer(_ number: UInt16, _ reply: Reply<Void>?) {
        guard let channel = channels[number], case .consuming(var consumer) = channel.role else {
            reply?.finish(.success(()))
            return
        }
        consumer.end()
        // Earlier settlements are sent first: a settlement on a closed channel makes the broker close the connection.
        settle(channel)
        channel.settler.invalidate()
        if channel.framesSinceCancel > Self.settlementsInFlightLimit {
            channel.role = .flushing(reply)
            send(.get(queue: consumer.consumption.queue), channel: number)
        } else {
            channel.role = .closing(reply)
            send(.channelClose, channel: number)
        }
    }

    /// Closes a channel on which the broker has processed all settlements.
    func flushed(_ number: UInt16) {
        guard let channel = channels[number], case .flushing(let reply) = channel.role else { return }
        channel.role = .closing(reply)
        send(.channelClose, channel: number)
    }

    /// Gives a consumer's state machine an event, and performs the action it returns.
    func withConsumer(_ number: UInt16, _ event: (inout ConsumerChannel) -> ConsumerChannel.Action?) {
        guard case .consuming(var consumer)? = channels[number]?.role else { return }
        let action = event(&consumer)
        channels[number]?.role = .consuming(consumer)
        switch action {
        case .send(let method): send(method, channel: number)
        case .close: closeConsumer(number, nil)
        case nil: break
        }
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

    // MARK: Settlements

    /// Passes settlements to their channels and sends the resulting frames.
    func settle(_ requests: [SettlementRequest]) {
        guard !requests.isEmpty else { return }
        var late = 0
        for request in requests where channels[request.channel.number]?.enqueue(request) != true { late += 1 }
        if late > 0 {
            counters.count(lateSettlements: late)
            logger.debug("Settlements arrived after their channel was gone", metadata: [LogKey.count: "\(late)"])
        }
        for channel in channels.open { settle(channel) }
    }

    /// Sends the settlements that wait on a channel.
    func settle(_ channel: OpenChannel) {
        guard channel.settlements.hasWork else { return }
        var methods: [OutboundMethod] = []
        channel.settlements.flush { methods.append($0) }
        if case .consuming(let consumer) = channel.role, consumer.isCancelled {
            channel.framesSinceCancel += methods.count
        }
        if methods.count > 1 { socket?.cork(true) }
        for method in methods { send(method, channel: channel.id.number) }
        if methods.count > 1 { socket?.cork(false) }
    }

    // MARK: Recovery

    /// Registers the suspended consumers, once what they need is declared again.
    func resumeConsumers() {
        guard socket != nil, !suspendedConsumers.isEmpty, requests[.topology]?.isRedeclaring != true else { return }
        if let nextResumption, nextResumption > .now { return }
        nextResumption = nil
        let consumers = suspendedConsumers
        suspendedConsumers = []
        for var consumer in consumers where !consumer.isAbandoned {
            if openChannel(.consuming(consumer)) == nil { consumer.end(noChannelLeft) }
        }
    }

    /// Handles the close of a consumer's channel by the broker: the queue may have to be declared again, or may be free
    /// soon.
    func channelClosed(of consumer: consuming ConsumerChannel, _ reply: BrokerReply) {
        switch consumer.channelClosed(reply) {
        case .redeclare:
            suspendedConsumers.append(consumer)
            redeclare(declared.all)
            resumeConsumers()
        case .retryLater:
            suspendedConsumers.append(consumer)
            nextResumption = .now + Self.lockedQueuePause
        case .ended: break
        }
    }
}
