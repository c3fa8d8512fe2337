import AMQP

/// A channel with one consumer on it: from its opening to its end.
///
/// A state machine: events in, actions out, no I/O.
struct ConsumerChannel {
    /// What the connection should do.
    enum Action {
        /// Send a method on this channel.
        case send(OutboundMethod)
        /// The channel is no longer needed: close it.
        case close
    }

    /// What is consumed, and how.
    struct Consumption: Sendable {
        var queue: String
        var prefetch: UInt16
        var arguments: FieldTable
    }

    private enum Phase {
        case opening
        case settingPrefetch
        case starting
        case running
        case cancelling
        case ended
    }

    let consumption: Consumption
    let stream: DeliveryStream
    private var phase = Phase.opening
    private var consumerTag = ""
    /// Who waits for the consumer to be registered.
    let started: Reply<Void>
    /// Who waits for the broker to say that no more deliveries come.
    private var cancelled: [Reply<Void>] = []

    init(_ consumption: Consumption, stream: DeliveryStream, started: Reply<Void>) {
        self.consumption = consumption
        self.stream = stream
        self.started = started
    }

    /// The broker answered the step that is under way; the next one.
    mutating func answered(_ method: InboundMethod) -> Action? {
        switch (phase, method) {
        case (.opening, .channelOpenOk):
            phase = .settingPrefetch
            return .send(.qos(prefetch: consumption.prefetch))
        case (.settingPrefetch, .qosOk):
            phase = .starting
            return .send(.consume(queue: consumption.queue, consumerTag: "", arguments: consumption.arguments))
        case (.starting, .consumeOk(let tag)):
            phase = .running
            consumerTag = tag
            // Nobody waits any more: the caller was cancelled or its time is up.
            if started.isDone { return .close }
            started.finish(.success(()))
            return nil
        case (.cancelling, .cancelOk):
            end()
            return nil
        default:
            return nil
        }
    }

    /// The user wants no more deliveries.
    mutating func cancel(_ reply: Reply<Void>) -> Action? {
        switch phase {
        case .running:
            phase = .cancelling
            cancelled.append(reply)
            return .send(.cancel(consumerTag: consumerTag))
        case .cancelling:
            cancelled.append(reply)
        case .opening, .settingPrefetch, .starting, .ended:
            reply.finish(.success(()))
        }
        return nil
    }

    /// The broker cancelled the consumer, as it does when the queue is deleted or its leader is lost.
    mutating func cancelledByBroker(mustAnswer: Bool) -> Action? {
        end(
            AMQPError(
                .consumerCancelled,
                """
                The broker cancelled the consumer of the queue '\(consumption.queue)': the queue was deleted or is not available now. \
                Declare it again if it is gone, and consume again.
                """
            )
        )
        return mustAnswer ? .send(.cancelOk(consumerTag: consumerTag)) : nil
    }

    /// The broker closed the channel.
    mutating func channelClosed(_ reply: BrokerReply) {
        let error =
            phase == .running || phase == .cancelling
            ? AMQPError(
                .channelClosed,
                "The broker closed the channel that consumes the queue '\(consumption.queue)': \(reply.text).",
                reply: reply
            )
            : AMQPError.refused(
                .consume(queue: consumption.queue, consumerTag: "", arguments: consumption.arguments),
                reply
            )
        end(error)
    }

    /// The channel or the connection is gone; without an error, because the user closed it.
    mutating func end(_ error: AMQPError? = nil) {
        phase = .ended
        stream.finish(throwing: error)
        started.finish(error.map(Result.failure) ?? .failure(AMQPError(.channelClosed, "The consumer was closed.")))
        for reply in cancelled { reply.finish(.success(())) }
        cancelled = []
    }
}
