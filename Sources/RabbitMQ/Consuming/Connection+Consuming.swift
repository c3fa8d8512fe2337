import AMQP

/// Consumers: a channel each, so that an error or a close of one leaves the others alone.
extension Connection {
    /// How many settlements may be on their way to a quorum queue when its channel is closed.
    ///
    /// RabbitMQ's channel keeps those beyond 32 back until the queue has taken the others, and drops them when it ends: seen on 3.10.8.
    /// A `basic.get` makes it wait for them all; what that takes goes back with the channel.
    private static let framesOnTheirWay = 16

    /// Registers a consumer and returns its deliveries.
    func consume(
        _ consumption: ConsumerChannel.Consumption,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> DeliveryStream {
        if let closeError {
            throw AMQPError(closeError.code, "Can't consume '\(consumption.queue)': \(closeError.message)")
        }
        let number = ConsumerNumber()
        let stream = DeliveryStream(
            control: DeliveryStream.Control(
                cancel: { [weak self] in await self?.cancelConsumer(number) },
                close: { [weak self] in await self?.closeConsumer(number) }
            )
        )
        stream.setRegistered(false)
        let started = Reply<Void>()
        let consumer = ConsumerChannel(consumption, stream: stream, started: started, number: number)
        if socket == nil {
            resting.append(consumer)
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

    private func cancelConsumer(_ number: ConsumerNumber) async {
        if let index = resting.firstIndex(where: { $0.number === number }) {
            var consumer = resting.remove(at: index)
            return consumer.end()
        }
        guard let id = number.id, let channel = channels[id.number], channel.id == id,
            case .consuming = channel.role
        else { return }
        let reply = Reply<Void>()
        withConsumer(id.number) { $0.cancel(reply) }
        try? await reply.value(cancelled: AMQPError(.cancelled, "The task was cancelled that cancelled a consumer."))
    }

    private func closeConsumer(_ number: ConsumerNumber) async {
        // On a channel that closes, a quorum queue may lose acknowledgements that were sent just before; a cancel waits for them.
        await cancelConsumer(number)
        guard let id = number.id, channels[id.number]?.id == id else { return }
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
        channel.settler.lose()
        if channel.framesSinceCancel > Self.framesOnTheirWay {
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
}
