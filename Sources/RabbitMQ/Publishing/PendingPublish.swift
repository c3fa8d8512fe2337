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
            cancelled: .publishCancelled(to: self.destination)
        )
    }

    /// Tells the caller that the deadline passed before the message was sent.
    func failUnsent(_ cause: String = "") { fail(.publishDeadlinePassed(to: destination, cause)) }

    /// Tells the caller that the publish failed.
    func fail(_ code: AMQPError.Code, _ message: String, reply brokerReply: BrokerReply? = nil) {
        fail(AMQPError(code, message, reply: brokerReply))
    }

    func fail(_ error: AMQPError) { reply.finish(.failure(error)) }
}
