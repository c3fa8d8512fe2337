import AMQP
import Synchronization

/// Consumers: a channel each, so that an error or a close of one leaves the others alone.
extension Connection {
    /// Registers a consumer and returns its deliveries.
    func consume(_ consumption: ConsumerChannel.Consumption) async throws(AMQPError) -> DeliveryStream {
        if isClosed {
            throw AMQPError(.connectionClosed, "Can't consume '\(consumption.queue)': the connection is closed.")
        }
        let started = Reply<Void>()
        let number = ConsumerNumber()
        let stream = DeliveryStream(
            control: DeliveryStream.Control(
                cancel: { [weak self] in await self?.cancelConsumer(number) },
                close: { [weak self] in await self?.closeConsumer(number) }
            )
        )
        let consumer = ConsumerChannel(consumption, stream: stream, started: started)
        guard let id = openChannel(.consuming(consumer)) else { throw .noChannelLeft(configuration) }
        number.id.withLock { $0 = id }
        try await started.value(
            cancelled: AMQPError(.cancelled, "The task was cancelled that wanted to consume '\(consumption.queue)'.")
        )
        return stream
    }

    private func cancelConsumer(_ number: ConsumerNumber) async {
        guard let id = number.id.withLock(\.self), let channel = channels[id.number], channel.id == id,
            case .consuming = channel.role
        else { return }
        let reply = Reply<Void>()
        withConsumer(id.number) { $0.cancel(reply) }
        try? await reply.value(cancelled: AMQPError(.cancelled, "The task was cancelled that cancelled a consumer."))
    }

    private func closeConsumer(_ number: ConsumerNumber) async {
        // On a channel that closes, a quorum queue may lose acknowledgements that were sent just before; a cancel waits for them.
        await cancelConsumer(number)
        guard let id = number.id.withLock(\.self), channels[id.number]?.id == id else { return }
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
        channel.role = .closing(reply)
        send(.channelClose, channel: number)
    }
}
