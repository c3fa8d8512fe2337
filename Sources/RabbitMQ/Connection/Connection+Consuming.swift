import AMQP
import Logging

/// Consumers: a channel each, so that an error or a close of one leaves the others alone.
extension Connection {
    /// How many settlements may be on their way to a quorum queue when its channel is closed.
    ///
    /// RabbitMQ's channel keeps those beyond 32 back until the queue has taken the others, and drops them when it ends: seen on 3.10.8.
    /// A `basic.get` makes it wait for them all; what that takes goes back with the channel.
    private static let settlementsInFlightLimit = 16
    /// How long a consumer rests whose queue another connection has to itself: often this client's own last one, not yet given up.
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
            throw .noChannelLeft(configuration)
        }
        try await started.value(
            until: deadline,
            late: AMQPError(
                .deadlineExceeded,
                "The broker did not register a consumer of the queue '\(consumption.queue)' within the time limit."
            ),
            cancelled: AMQPError(.cancelled, "The task was cancelled that wanted to consume '\(consumption.queue)'.")
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
        try? await reply.value(cancelled: AMQPError(.cancelled, "The task was cancelled that cancelled a consumer."))
    }

    private func closeConsumer(_ ref: ConsumerChannelRef) async {
        // On a channel that closes, a quorum queue may lose acknowledgements that were sent just before; a cancel waits for them.
        await cancelConsumer(ref)
        guard let id = ref.id, channels[id.number]?.id == id else { return }
        let reply = Reply<Void>()
        closeConsumer(id.number, reply)
        try? await reply.value(cancelled: AMQPError(.cancelled, "The task was cancelled that closed a consumer."))
    }

    /// Ends a consumer and closes its channel.
    func closeConsumer(_ number: UInt16, _ reply: Reply<Void>?) {
        guard let channel = channels[number], case .consuming(var consumer) = channel.role else {
            reply?.finish(.success(()))
            return
        }
        consumer.end()
        // What was settled before goes first. A settlement on a closed channel would cost the whole connection.
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

    /// The broker has taken all settlements that were sent on a channel: now it can be closed.
    func flushed(_ number: UInt16) {
        guard let channel = channels[number], case .flushing(let reply) = channel.role else { return }
        channel.role = .closing(reply)
        send(.channelClose, channel: number)
    }

    /// Lets a consumer's machine take an event, and does what it says.
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

    // MARK: Settlements

    /// Passes settlements on to their channels and sends what they come to.
    func settle(_ requests: [SettlementRequest]) {
        guard !requests.isEmpty else { return }
        var late = 0
        for request in requests where channels[request.channel.number]?.enqueue(request) != true { late += 1 }
        if late > 0 {
            counters.count(lateSettlements: late)
            logger.debug("settlements came after their channel had gone", metadata: ["count": "\(late)"])
        }
        for channel in channels.open { settle(channel) }
    }

    /// Sends the settlements that a channel has taken.
    func settle(_ channel: Channel) {
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

    /// Registers the consumers that rest, once what they need is declared again.
    func resumeConsumers() {
        guard socket != nil, !suspendedConsumers.isEmpty, requests[.topology]?.isRedeclaring != true else { return }
        if let nextResumption, nextResumption > .now { return }
        nextResumption = nil
        let consumers = suspendedConsumers
        suspendedConsumers = []
        for var consumer in consumers where !consumer.isAbandoned {
            if openChannel(.consuming(consumer)) == nil { consumer.end(.noChannelLeft(configuration)) }
        }
    }

    /// The broker closed a consumer's channel: what it consumed may have to be declared again, or will be free in a moment.
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

extension AMQPError {
    static func noChannelLeft(_ configuration: ConnectionConfiguration) -> AMQPError {
        AMQPError(
            .refused,
            "All 2047 channels of the connection to \(configuration.endpoint) are in use: close consumers first."
        )
    }
}
