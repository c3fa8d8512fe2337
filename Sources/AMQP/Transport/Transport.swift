/// The seam between a framework and a broker: what AMQP 0-9-1 and RabbitMQ's additions offer, as Warren uses it.
///
/// RabbitMQ's client implements it over a network; an embedded broker can implement it in the same process. It stands at AMQP's
/// level (exchange, queue, binding, publish, consume, settle), not at the level of jobs, so that dead-lettering, delays and priorities
/// are one code path whatever is behind it.
///
/// A transport connects when it is first used. Publishing doesn't wait behind consuming.
public protocol Transport: Sendable {
    /// The broker at the other end, connecting if need be.
    func broker() async throws(AMQPError) -> BrokerIdentity

    /// Declares an exchange. Throws `declarationMismatch` if it exists and is different.
    func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError)
    /// Declares a queue. Throws `declarationMismatch` if it exists and is different.
    @discardableResult
    func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus
    /// Adds a binding. Throws `notFound` if an end of it doesn't exist.
    func bind(_ binding: Binding) async throws(AMQPError)
    /// Removes a binding; one that doesn't exist is no error.
    func unbind(_ binding: Binding) async throws(AMQPError)
    /// Deletes an exchange; one that doesn't exist is no error.
    func deleteExchange(_ name: String) async throws(AMQPError)
    /// Deletes a queue with what is in it, and says how many messages that were; a queue that doesn't exist is no error.
    @discardableResult
    func deleteQueue(_ name: String) async throws(AMQPError) -> Int
    /// Removes the ready messages of a queue, and says how many they were.
    @discardableResult
    func purgeQueue(_ name: String) async throws(AMQPError) -> Int
    /// What is in a queue and who reads it. Throws `notFound` if it doesn't exist.
    func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus
    /// Whether an exchange exists.
    func exchangeExists(_ name: String) async throws(AMQPError) -> Bool

    /// Publishes a message and returns when the broker has taken responsibility for it.
    ///
    /// - Parameter mandatory: Whether a message that no queue takes is an error (`unroutable`).
    /// - Parameter deadline: When to give up. It never waits longer.
    /// - Throws: `unroutable`, `nacked`, `blocked`, `deadlineExceeded`, `confirmTimedOut`, `notFound` (no such exchange),
    ///   `messageTooLarge`, `connectionLost`, `connectionClosed`, `cancelled`; each knows whether the outcome is known.
    func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError)

    /// Consumes a queue. Not more than `prefetch` deliveries are unsettled at a time.
    ///
    /// - Parameter arguments: The consumer's arguments, such as `x-stream-offset`.
    func consume(queue: String, prefetch: UInt16, arguments: FieldTable) async throws(AMQPError) -> DeliveryStream

    /// Takes one message from a queue, or `nil` if none is ready. Settle it as any delivery.
    func get(queue: String) async throws(AMQPError) -> Delivery?

    /// How the way to the broker is now.
    var health: TransportHealth { get }

    /// Ends all use: sends what is waiting, closes in order. Unsettled deliveries go back to their queues.
    func close() async
}

extension Transport {
    /// A way to the broker that can't fail, as within one process.
    public var health: TransportHealth { TransportHealth(publishing: .open, consuming: .open) }
}

/// Which broker a transport is connected to.
public struct BrokerIdentity: Sendable, Hashable {
    /// The product, such as `RabbitMQ`.
    public var product: String
    /// The product's version.
    public var version: BrokerVersion

    /// A broker by product and version.
    public init(product: String, version: BrokerVersion) {
        self.product = product
        self.version = version
    }
}
