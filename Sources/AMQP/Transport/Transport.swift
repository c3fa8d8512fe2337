/// The interface between a framework and a broker: the operations of AMQP 0-9-1 and RabbitMQ's additions that Warren
/// uses.
///
/// RabbitMQ's client implements it over a network, the embedded broker in the same process. It works at AMQP's level
/// (exchange, queue, binding, publish, consume, settle), not at the level of jobs, so that dead-lettering, delays and
/// priorities take one code path on every broker.
///
/// A transport connects on first use. Publishing doesn't wait behind consuming.
public protocol Transport: Sendable {
    /// Returns the broker at the other end, connecting first if necessary.
    func broker() async throws(AMQPError) -> BrokerIdentity

    /// Declares an exchange. Throws `declarationMismatch` if it exists and differs.
    func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError)
    /// Declares a queue. Throws `declarationMismatch` if it exists and differs.
    @discardableResult
    func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus
    /// Adds a binding. Throws `notFound` if an end of it doesn't exist.
    func bind(_ binding: Binding) async throws(AMQPError)
    /// Removes a binding; does nothing if it doesn't exist.
    func unbind(_ binding: Binding) async throws(AMQPError)
    /// Deletes an exchange; does nothing if it doesn't exist.
    func deleteExchange(_ name: String) async throws(AMQPError)
    /// Deletes a queue with its messages, and returns their number; does nothing if the queue doesn't exist.
    @discardableResult
    func deleteQueue(_ name: String) async throws(AMQPError) -> Int
    /// Removes the ready messages of a queue, and returns their number.
    @discardableResult
    func purgeQueue(_ name: String) async throws(AMQPError) -> Int
    /// Returns the numbers of messages and consumers of a queue. Throws `notFound` if it doesn't exist.
    func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus
    /// Returns whether an exchange exists.
    func exchangeExists(_ name: String) async throws(AMQPError) -> Bool

    /// Publishes a message and returns when the broker has taken responsibility for it.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: The exchange and routing key, or the queue, to publish to.
    ///   - mandatory: Whether a message that reaches no queue is an error (`unroutable`).
    ///   - deadline: The instant at which to give up; the call never waits longer.
    /// - Throws: `unroutable`, `nacked`, `blocked`, `deadlineExceeded`, `confirmTimedOut`, `notFound` (no such
    ///   exchange), `messageTooLarge`, `connectionLost`, `connectionClosed`, `cancelled`; ``AMQPError/outcomeIsKnown``
    ///   says of each whether the outcome is known.
    func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError)

    /// Consumes a queue, with at most `prefetch` deliveries unsettled at a time.
    ///
    /// - Parameters:
    ///   - queue: The queue's name.
    ///   - prefetch: The largest number of unsettled deliveries. Zero means no limit: the broker then sends all that
    ///     the queue has, and what the program hasn't read yet waits in its memory. RabbitMQ refuses zero for streams.
    ///   - arguments: The consumer's arguments, such as `x-stream-offset`.
    func consume(queue: String, prefetch: UInt16, arguments: FieldTable) async throws(AMQPError) -> DeliveryStream

    /// Fetches one message from a queue, or `nil` if none is ready. Settle it like any delivery.
    func get(queue: String) async throws(AMQPError) -> Delivery?

    /// The present state of the connections to the broker.
    var health: TransportHealth { get }

    /// Closes the transport cleanly: sends what is waiting, then closes the connections. The broker requeues unsettled
    /// deliveries.
    func close() async
}

extension Transport {
    /// Connections that are always open, as to a broker in this process.
    public var health: TransportHealth { TransportHealth(publishing: .open, consuming: .open) }
}

/// The product and version of a broker.
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
