import AMQP
import Logging
import Synchronization

/// Where each frame from the broker goes.
extension Connection {
    /// Takes one frame.
    ///
    /// Throws if the broker speaks out of order, which ends the connection.
    func handle(_ frame: InboundFrame, channel number: UInt16) throws(AMQPError) {
        guard number != 0 else {
            if case .method(let method) = frame { try handleConnectionMethod(method) }
            socket?.release(channel: 0)
            return
        }
        switch frame {
        case .method(.content(let start)):
            try channels[number]?.assembler.begin(start)
        case .method(let method):
            handle(method, channel: number)
            socket?.release(channel: number)
        case .header(let bodySize, let properties):
            if let content = try channels[number]?.assembler.header(bodySize: bodySize, properties) {
                complete(content, channel: number)
            }
        case .body(let piece):
            if let content = try channels[number]?.assembler.body(piece) {
                complete(content, channel: number)
            }
        }
    }

    private func handleConnectionMethod(_ method: InboundMethod) throws(AMQPError) {
        switch method {
        case .blocked(let reason):
            publisher.withLock { $0.blockedReason = reason }
            schedule.blocked(reason)
            board.set(schedule.state, of: purpose)
            logger.info("broker blocks publishers", metadata: ["reason": "\(reason)"])
        case .unblocked:
            publisher.withLock { $0.blockedReason = nil }
            schedule.blocked(nil)
            board.set(schedule.state, of: purpose)
            logger.info("broker takes publishes again")
        case .connectionClose(let reply):
            send(.connectionCloseOk, channel: 0)
            throw AMQPError(
                .connectionClosed,
                "\(configuration.endpoint) closed the connection: \(reply.text) (\(reply.code)).",
                reply: reply
            )
        case .connectionCloseOk:
            throw AMQPError.closedByProgram
        default: break
        }
    }

    private func handle(_ method: InboundMethod, channel number: UInt16) {
        switch method {
        case .ack(let tag, let multiple): publisher.withLock { $0.acknowledged(tag, multiple: multiple) }
        case .nack(let tag, let multiple): publisher.withLock { $0.refused(tag, multiple: multiple) }
        case .channelClose(let reply):
            send(.channelCloseOk, channel: number)
            closed(number, reply)
        case .channelCloseOk:
            if case .closing(let reply?)? = channels.remove(number)?.role { reply.finish(.success(())) }
        case .channelFlow(let active): send(.channelFlowOk(active: active), channel: number)
        case .cancel(_, let mustAnswer):
            channels[number]?.handOver()
            withConsumer(number) { $0.cancelledByBroker(mustAnswer: mustAnswer) }
        default: answered(method, channel: number)
        }
    }

    /// An answer to something that this client asked on a channel.
    private func answered(_ method: InboundMethod, channel number: UInt16) {
        switch channels[number]?.role {
        case .publishing:
            if method == .channelOpenOk { perform(publisher.withLock { $0.opened(number) }) }
            if method == .confirmSelectOk { publisher.withLock { $0.selected() } }
        case .requests(let purpose):
            if method == .channelOpenOk {
                perform(requests[purpose]?.opened(number) ?? nil, for: purpose)
            } else {
                answered(.method(method), for: purpose)
            }
        case .consuming:
            withConsumer(number) { $0.answered(method) }
            if case .cancelOk = method { sendCloseIfQuiet() }
        case .flushing: flushed(number)
        case .closing, nil: break
        }
    }

    /// A message is complete: a delivery, the answer to a get, or a returned publish.
    private func complete(_ content: ContentAssembler.Content, channel number: UInt16) {
        socket?.release(channel: number)
        switch content.start {
        case .delivery(_, let tag, let isRedelivered, let destination):
            guard let channel = channels[number], case .consuming(let consumer) = channel.role else { return }
            channel.settlements.deliver(tag)
            channel.batch.append(
                Delivery(
                    message: content.message,
                    destination: destination,
                    queue: consumer.consumption.queue,
                    isRedelivered: isRedelivered,
                    tag: tag,
                    settler: channel.settler
                )
            )
        case .get(let tag, _, _):
            guard let channel = channels[number] else { return }
            guard case .requests(let purpose) = channel.role else { return flushed(number) }
            channel.settlements.deliver(tag)
            answered(.message(content.start, content.message, channel.settler), for: purpose)
        case .returned(let reply, let destination):
            publisher.withLock { $0.returned(content.message, to: destination, reply) }
        }
    }

    /// The broker closed a channel.
    private func closed(_ number: UInt16, _ reply: BrokerReply) {
        channels[number]?.handOver()
        channels[number]?.settler.lose()
        switch channels.remove(number)?.role {
        case .publishing: perform(publisher.withLock { $0.channelClosed(reply) })
        case .requests(let purpose):
            perform(requests[purpose]?.channelClosed(reply) ?? nil, for: purpose)
            resumeConsumers()
        case .consuming(let consumer):
            channelClosed(of: consumer, reply)
            sendCloseIfQuiet()
        case .flushing(let waiter), .closing(let waiter): waiter?.finish(.success(()))
        case nil: break
        }
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
}
