import AMQP

/// A publish on its way to its confirm, and the reply that its caller waits for.
final class PendingPublish: Sendable {
    let message: Message
    let destination: Destination
    let mandatory: Bool
    let deadline: ContinuousClock.Instant
    let reply = Reply<Void>()

    init(_ message: Message, to destination: Destination, mandatory: Bool, deadline: ContinuousClock.Instant) {
        self.message = message
        self.destination = destination
        self.mandatory = mandatory
        self.deadline = deadline
    }

    /// Waits for the outcome.
    func outcome() async throws(AMQPError) {
        try await reply.value(
            cancelled: AMQPError(
                .cancelled,
                "The task that published to \(self.destination) was cancelled. The message may have been sent."
            )
        )
    }

    /// Tells the caller that the deadline passed before the message was sent.
    func failUnsent(_ reason: String = ".") {
        fail(.deadlineExceeded, "The deadline passed before the message to \(destination) was sent\(reason)")
    }

    /// Tells the caller that the publish failed.
    func fail(_ code: AMQPError.Code, _ message: String, reply brokerReply: BrokerReply? = nil) {
        reply.finish(.failure(AMQPError(code, message, reply: brokerReply)))
    }
}
