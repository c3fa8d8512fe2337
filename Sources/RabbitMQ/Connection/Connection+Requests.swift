import AMQP

/// Requests that have one answer each.
extension Connection {
    /// Sends a method on the channel for its purpose and waits for the answer.
    func request(
        _ method: OutboundMethod,
        for purpose: RequestPurpose = .topology,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> InboundMethod {
        guard case .method(let answer) = try await answer(to: method, for: purpose, deadline: deadline) else {
            throw AMQPError(.malformed, "The broker answered with a message: \(method.summary).")
        }
        return answer
    }

    /// Takes one message from a queue.
    func get(queue: String, deadline: ContinuousClock.Instant) async throws(AMQPError) -> Delivery? {
        let answer = try await answer(to: .get(queue: queue), for: .gets, deadline: deadline)
        guard case .message(.get(let tag, let isRedelivered, let destination), let message, let id) = answer else {
            return nil
        }
        return Delivery(
            message: message,
            destination: destination,
            queue: queue,
            isRedelivered: isRedelivered,
            tag: tag,
            settler: ChannelSettler(thread: thread, channel: id, batch: 1)
        )
    }

    private func answer(
        to method: OutboundMethod,
        for purpose: RequestPurpose,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> RequestChannel.Answer {
        if isClosed { throw AMQPError(.connectionClosed, "Can't \(method.summary): the connection is closed.") }
        let reply = Reply<RequestChannel.Answer>()
        let request = RequestChannel.Request(method: method, deadline: deadline, reply: reply)
        perform(requests[purpose, default: RequestChannel()].enqueue(request), for: purpose)
        return try await reply.value(
            cancelled: AMQPError(.cancelled, "The task was cancelled that wanted to \(method.summary).")
        )
    }
}
