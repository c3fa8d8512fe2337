public import AMQP

/// A broker in this process, with RabbitMQ's semantics.
///
/// It emulates RabbitMQ 3.10, 4.0 or 4.3 where they differ. Used as a `Transport` it is its own first connection;
/// ``connect(name:)`` makes others. All that takes time takes it from the injected clock: with a ``VirtualClock`` years pass at once.
/// Everything is in memory and ends with the process, unless a ``BrokerJournal`` keeps it.
public final class EmbeddedBroker: Transport {
    let runtime: BrokerRuntime
    private let connection: EmbeddedConnection

    /// An empty broker.
    ///
    /// - Parameter version: The RabbitMQ that it behaves as.
    /// - Parameter clock: By which messages, queues and deliveries expire.
    public convenience init(
        version: BrokerVersion = BrokerVersion(4, 3),
        clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.init(runtime: BrokerRuntime(version: version, time: BrokerTime(clock)))
    }

    /// A broker whose durable state a journal keeps.
    ///
    /// - Parameter changes: What the journal has kept so far, in its order.
    public convenience init(
        version: BrokerVersion = BrokerVersion(4, 3),
        clock: any Clock<Duration> = ContinuousClock(),
        journal: any BrokerJournal,
        restoring changes: some Sequence<BrokerChange>
    ) {
        self.init(
            runtime: BrokerRuntime(version: version, time: BrokerTime(clock), journal: journal, restoring: changes)
        )
    }

    private init(runtime: BrokerRuntime) {
        self.runtime = runtime
        connection = EmbeddedConnection(runtime, name: "embedded")
    }

    /// The RabbitMQ that it behaves as.
    public var version: BrokerVersion { runtime.version }

    /// Makes a further connection.
    public func connect(name: String = "embedded") -> EmbeddedConnection { EmbeddedConnection(runtime, name: name) }

    // MARK: The operator's acts

    /// Lets the broker run short of something: publishes wait, everything else goes on.
    public func setAlarm(_ alarm: BrokerAlarm) { runtime.alarm.set(alarm) }

    /// Ends an alarm, or all: publishes go on.
    public func clearAlarm(_ alarm: BrokerAlarm? = nil) { runtime.alarm.clear(alarm) }

    /// Sets how long a delivery may stay unsettled, where a queue doesn't say it itself; `nil` for no limit.
    ///
    /// It holds for deliveries that come after.
    public func setConsumerTimeout(_ timeout: Duration?) {
        runtime.perform { $0.machine.setConsumerTimeout(timeout.map { .after($0) } ?? .never) }
    }

    /// Closes all connections, as an operator or a lost network does; they come back at once.
    ///
    /// What was unsettled is delivered again, streams go on, and exclusive and auto-delete queues are there again, empty.
    /// ``EmbeddedConnection/lose()`` is this for one of them.
    public func closeConnections() { runtime.perform { $0.machine.loseConnections() } }

    // MARK: Looking at it

    /// The names of all queues, sorted.
    public var queueNames: [String] { runtime.read { $0.queueIDs.keys.sorted() } }

    /// The names of all exchanges, sorted; the default one's is empty.
    public var exchangeNames: [String] { runtime.read { $0.exchanges.names } }

    /// The messages that are ready in a queue, in the order in which they will go; none if there is no such queue.
    public func readyMessages(in queue: String) -> [Message] {
        storedMessages(in: queue).map(\.message)
    }

    /// How many deliveries of a queue are unsettled.
    public func unsettledCount(of queue: String) -> Int {
        runtime.read { machine in
            guard let id = machine.queueIDs[queue] else { return 0 }
            return machine.channels.values.map { $0.unsettled.count(of: id) }.reduce(0, +)
        }
    }

    /// How many messages have gone through it.
    public var totals: BrokerTotals { runtime.read(\.totals) }

    // MARK: What the tools for testing look at

    /// How many consumers a queue has.
    package func consumerCount(of queue: String) -> Int {
        runtime.read { machine in
            guard let id = machine.queueIDs[queue] else { return 0 }
            return machine.queues[id]?.status.consumerCount ?? 0
        }
    }

    /// How many deliveries of all queues are unsettled.
    package var unsettledCount: Int { runtime.read(\.unsettledCount) }

    /// How many channels are open: one for each consumer, and one for the gets of each connection that has made any.
    ///
    /// A consumer that was cancelled keeps its channel until that is closed, so that its deliveries can be settled.
    package var channelCount: Int { runtime.read(\.channels.count) }

    /// The ready messages of a queue, with where they were published to.
    package func storedMessages(in queue: String) -> [(message: Message, destination: Destination)] {
        runtime.read { machine in
            guard let id = machine.queueIDs[queue], let found = machine.queues[id] else { return [] }
            var ready = found.ready
            var messages: [(Message, Destination)] = []
            while let message = ready.popFirst() {
                let delivered = message.delivered(from: found.settings.kind, machine.features)
                messages.append((delivered, message.content.destination))
            }
            return messages
        }
    }

    /// Whether no queue with consumers has anything ready, and no more than so many deliveries are unsettled.
    package func isQuiet(exceptFor unsettled: Int) -> Bool {
        runtime.read { machine in
            machine.unsettledCount <= unsettled
                && machine.queues.values.allSatisfy { $0.consumers.isEmpty || $0.ready.isEmpty }
        }
    }

    // MARK: Transport

    /// The embedded broker, with the version of RabbitMQ that it behaves as.
    public func broker() async throws(AMQPError) -> BrokerIdentity { try await connection.broker() }

    /// Declares an exchange.
    ///
    /// - Throws: `declarationMismatch` if it exists and is different.
    public func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        try await connection.declare(exchange)
    }

    /// Declares a queue.
    ///
    /// - Throws: `declarationMismatch` if it exists and is different.
    @discardableResult
    public func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try await connection.declare(queue)
    }

    /// Adds a binding.
    ///
    /// - Throws: `notFound` if an end of it doesn't exist.
    public func bind(_ binding: Binding) async throws(AMQPError) { try await connection.bind(binding) }

    /// Removes a binding; one that doesn't exist is no error.
    public func unbind(_ binding: Binding) async throws(AMQPError) { try await connection.unbind(binding) }

    /// Deletes an exchange; one that doesn't exist is no error.
    public func deleteExchange(_ name: String) async throws(AMQPError) { try await connection.deleteExchange(name) }

    /// Deletes a queue with what is in it, and says how many messages that were.
    @discardableResult
    public func deleteQueue(_ name: String) async throws(AMQPError) -> Int { try await connection.deleteQueue(name) }

    /// Removes the ready messages of a queue, and says how many they were.
    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int { try await connection.purgeQueue(name) }

    /// What is in a queue and who reads it.
    ///
    /// - Throws: `notFound` if it doesn't exist.
    public func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        try await connection.status(ofQueue: name)
    }

    /// Whether an exchange exists.
    public func exchangeExists(_ name: String) async throws(AMQPError) -> Bool {
        try await connection.exchangeExists(name)
    }

    /// Publishes a message and returns when the broker has it; see ``EmbeddedConnection/publish(_:to:mandatory:deadline:)``.
    public func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool = true,
        deadline: ContinuousClock.Instant = .now + .seconds(30)
    ) async throws(AMQPError) {
        try await connection.publish(message, to: destination, mandatory: mandatory, deadline: deadline)
    }

    /// Consumes a queue.
    ///
    /// Not more than `prefetch` deliveries are unsettled at a time; 0 is no limit.
    public func consume(
        queue: String,
        prefetch: UInt16,
        arguments: FieldTable = FieldTable()
    ) async throws(AMQPError) -> DeliveryStream {
        try await connection.consume(queue: queue, prefetch: prefetch, arguments: arguments)
    }

    /// Takes one message from a queue, or `nil` if none is ready.
    ///
    /// Settle it as any delivery.
    public func get(queue: String) async throws(AMQPError) -> Delivery? { try await connection.get(queue: queue) }

    /// Open, and blocked for publishing while an alarm is on.
    public var health: TransportHealth { connection.health }

    /// Ends the first connection; the broker and its other connections stay, unless it has a journal: then all end, and the journal too.
    public func close() async {
        await connection.close()
        await runtime.closeJournal(.closedByProgram)
    }
}

/// How many messages have gone through an ``EmbeddedBroker`` since it began, as RabbitMQ's `message_stats` count them.
///
/// They only grow, and end with the process. What is in a queue now, ask the queue.
public struct BrokerTotals: Sendable, Hashable {
    /// Messages that clients published to an exchange that exists, whatever became of them there.
    public var published = 0
    /// Deliveries, to consumers and to gets.
    public var delivered = 0
    /// Those of the deliveries that may have been made before.
    public var redelivered = 0
    /// Deliveries that were acknowledged.
    public var acknowledged = 0
    /// Deliveries that were given back to their queue, or lost with their channel, also where the queue then found that it was too often.
    ///
    /// RabbitMQ doesn't count them.
    public var requeued = 0

    init() {}
}

extension BrokerMachine {
    fileprivate var unsettledCount: Int { channels.values.map(\.unsettled.count).reduce(0, +) }
}
