/// The interface between a framework and a broker: the operations of AMQP 0-9-1 and RabbitMQ's additions that Warren
/// uses.
///
/// RabbitMQ's client implements it over a network, the embedded broker in the same process. It works at AMQP's level
/// (exchange, queue, binding, publish, consume, settle), not at the level of jobs, so that dead-lettering, delays and
/// priorities take one code path on every broker.
///
/// A transport connects on first use. Publishing doesn't wait behind consuming.
///
/// The broker's refusals are `notFound` (no such exchange or queue), `accessRefused` (the user lacks the permission, or
/// the name is reserved), `resourceLocked` (another connection has exclusive use of the queue), `declarationMismatch`
/// and, for any other reason, `refused`. Each method names those that it can throw. Besides those, a method throws
/// `invalidArgument` for a value that can't be sent, `deadlineExceeded` if the broker doesn't answer in time,
/// `cancelled` if the calling task is cancelled, `closed` after ``close()``, and an error such as `connectionFailed` if
/// there is no connection.
///
/// One rule for cancellation: a call in a cancelled task ends at once with `cancelled`, whose
/// ``AMQPError/underlying`` error is `CancellationError`, and says whether something may have been sent; a
/// ``DeliveryStream`` ends for a cancelled reader as it does normally, without an error; and what ends something
/// (``close()``, ``DeliveryStream/cancel(requeuesUnsettled:)``, settling) ignores cancellation, because that is when it
/// is called.
public protocol Transport: Sendable {
    /// Returns the broker at the other end, connecting first if necessary.
    func broker() async throws(AMQPError) -> BrokerIdentity

    /// Declares an exchange.
    ///
    /// - Throws: `declarationMismatch` if it exists and differs; `accessRefused`; `refused`, as for an argument of a
    ///   wrong type.
    func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError)
    /// Declares a queue.
    ///
    /// - Throws: `declarationMismatch` if it exists and differs; `resourceLocked`; `accessRefused`; `refused`, as for
    ///   an argument that the kind of queue doesn't support.
    @discardableResult
    func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus
    /// Adds a binding.
    ///
    /// - Throws: `notFound` if an end of it doesn't exist; `resourceLocked`; `accessRefused`; `refused`, as for an
    ///   invalid argument.
    func bind(_ binding: Binding) async throws(AMQPError)
    /// Removes a binding; does nothing if it doesn't exist.
    ///
    /// - Throws: `resourceLocked`; `accessRefused`.
    func unbind(_ binding: Binding) async throws(AMQPError)
    /// Deletes an exchange; does nothing if it doesn't exist.
    ///
    /// - Parameters:
    ///   - name: The exchange's name.
    ///   - ifUnused: Whether to refuse if the exchange has bindings.
    /// - Throws: `accessRefused`, also for the broker's own exchanges; `refused` if it is used.
    func deleteExchange(_ name: String, ifUnused: Bool) async throws(AMQPError)
    /// Deletes a queue with its messages, and returns their number; does nothing if the queue doesn't exist.
    ///
    /// - Parameters:
    ///   - name: The queue's name.
    ///   - ifUnused: Whether to refuse if the queue has consumers. Only for classic queues: for another kind RabbitMQ
    ///     closes the connection (540).
    ///   - ifEmpty: Whether to refuse if the queue has messages. Only for classic queues, likewise.
    /// - Throws: `resourceLocked`; `accessRefused`; `refused` if it is used, or not empty.
    @discardableResult
    func deleteQueue(_ name: String, ifUnused: Bool, ifEmpty: Bool) async throws(AMQPError) -> Int
    /// Removes the ready messages of a queue, and returns their number.
    ///
    /// Don't use it on a stream: RabbitMQ closes the connection (540).
    ///
    /// - Throws: `notFound`; `resourceLocked`; `accessRefused`.
    @discardableResult
    func purgeQueue(_ name: String) async throws(AMQPError) -> Int
    /// Returns the numbers of messages and consumers of a queue.
    ///
    /// - Throws: `notFound`; `resourceLocked`.
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
    ///   exchange), `accessRefused`, `refused`, `messageTooLarge`, `channelLost`, `connectionLost`, `connectionClosed`,
    ///   `cancelled`; ``AMQPError/outcomeIsKnown`` says of each whether the outcome is known.
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
    ///   - options: The consumer's uncommon properties.
    /// - Throws: `notFound`; `accessRefused`; `resourceLocked`; `unavailable`, as for a quorum queue without a leader;
    ///   `refused`, as for a stream without a prefetch.
    func consume(queue: String, prefetch: UInt16, options: ConsumeOptions) async throws(AMQPError) -> DeliveryStream

    /// Fetches one message from a queue, or `nil` if none is ready. Settle it like any delivery.
    ///
    /// Don't use it on a stream: RabbitMQ closes the connection (540).
    ///
    /// - Throws: `notFound`; `accessRefused`; `resourceLocked`, also for a quorum queue with a single active consumer.
    func get(queue: String) async throws(AMQPError) -> Delivery?

    /// The present state of the connections to the broker.
    var health: TransportHealth { get }

    /// Closes the transport cleanly: sends what is waiting and awaits its confirms, then closes the connections. The
    /// broker requeues unsettled deliveries.
    ///
    /// It takes a few seconds at most, and ignores cancellation. Later calls throw `closed`.
    func close() async
}

extension Transport {
    /// Deletes an exchange; does nothing if it doesn't exist.
    ///
    /// - Throws: `accessRefused`, also for the broker's own exchanges.
    public func deleteExchange(_ name: String) async throws(AMQPError) {
        try await deleteExchange(name, ifUnused: false)
    }

    /// Deletes a queue with its messages, and returns their number; does nothing if the queue doesn't exist.
    ///
    /// - Throws: `resourceLocked`; `accessRefused`.
    @discardableResult
    public func deleteQueue(_ name: String) async throws(AMQPError) -> Int {
        try await deleteQueue(name, ifUnused: false, ifEmpty: false)
    }

    /// Consumes a queue, with at most `prefetch` deliveries unsettled at a time.
    ///
    /// - Throws: The errors of ``consume(queue:prefetch:options:)``.
    public func consume(
        queue: String,
        prefetch: UInt16,
        arguments: FieldTable = FieldTable()
    ) async throws(AMQPError) -> DeliveryStream {
        try await consume(queue: queue, prefetch: prefetch, options: ConsumeOptions(arguments: arguments))
    }

    /// Consumes a queue while `body` runs: then the consumer ends, and what it didn't settle returns to the queue.
    ///
    /// ```swift
    /// try await client.withConsumer(queue: "letters", prefetch: 10) { deliveries in
    ///     for try await delivery in deliveries { … }
    /// }
    /// ```
    /// - Throws: The errors of ``consume(queue:prefetch:options:)``, and those of `body`.
    public func withConsumer<Value: Sendable>(
        queue: String,
        prefetch: UInt16,
        options: ConsumeOptions = ConsumeOptions(),
        _ body: (DeliveryStream) async throws -> Value
    ) async throws -> Value {
        let stream = try await consume(queue: queue, prefetch: prefetch, options: options)
        do {
            let value = try await body(stream)
            await stream.cancel(requeuesUnsettled: true)
            return value
        } catch {
            await stream.cancel(requeuesUnsettled: true)
            throw error
        }
    }

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

/// A broker that lists its bindings, for which AMQP has no method.
package protocol BindingDirectory {
    /// The bindings from an exchange; none if it doesn't exist.
    func bindings(from exchange: String) -> [Binding]
}
