public import AMQP

/// A broker in this process, with RabbitMQ's semantics.
///
/// It emulates RabbitMQ 3.10, 4.0 or 4.3 where they differ. Used as a `Transport` it is its own first connection;
/// ``connect(name:)`` makes others. It measures all time by the injected clock, so with a ``VirtualClock`` years pass
/// at once; only the deadline of a publish is real time. Everything is in memory and ends with the process, unless the
/// module `EmbeddedStore` keeps it in a file.
public final class EmbeddedBroker: Transport {
    private let runtime: BrokerRuntime
    private let connection: EmbeddedConnection

    /// An empty broker.
    ///
    /// - Parameter version: The version of RabbitMQ to behave as.
    /// - Parameter clock: The clock by which messages, queues and deliveries expire.
    public convenience init(
        version: BrokerVersion = BrokerVersion(4, 3),
        clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.init(runtime: BrokerRuntime(version: version, time: BrokerTime(clock)))
    }

    /// A broker whose durable state a journal keeps.
    ///
    /// - Parameter version: The version of RabbitMQ to behave as.
    /// - Parameter clock: The clock by which messages, queues and deliveries expire.
    /// - Parameter journal: Keeps every change of the durable state from now on.
    /// - Parameter changes: The changes that the journal has kept so far, in its order.
    package convenience init(
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

    /// The version of RabbitMQ that this broker behaves as.
    public var version: BrokerVersion { runtime.version }

    /// Opens another connection.
    ///
    /// - Parameter name: The connection's name.
    public func connect(name: String = "embedded") -> EmbeddedConnection { EmbeddedConnection(runtime, name: name) }

    // MARK: Operating the broker

    /// Raises an alarm: publishes wait until it is cleared, and everything else goes on.
    public func setAlarm(_ alarm: BrokerAlarm) { runtime.publishGate.set(alarm) }

    /// Clears an alarm, or all alarms if `alarm` is `nil`; once none is left, waiting publishes go on.
    public func clearAlarm(_ alarm: BrokerAlarm? = nil) { runtime.publishGate.clear(alarm) }

    /// Sets how long a delivery may stay unsettled, for queues that don't set it themselves; `nil` means no limit.
    ///
    /// It applies to deliveries made from now on.
    public func setConsumerTimeout(_ timeout: Duration?) {
        runtime.perform { $0.machine.setConsumerTimeout(timeout.map { .after($0) } ?? .never) }
    }

    /// Closes all connections, as an operator or a network failure does; they reconnect at once.
    ///
    /// Unsettled messages are delivered again, delivery streams go on, and exclusive and auto-delete queues exist
    /// again, empty. ``EmbeddedConnection/lose()`` does the same to one connection.
    public func closeConnections() { runtime.perform { $0.machine.loseConnections() } }

    // MARK: Inspecting its state

    /// The names of all queues, sorted.
    public var queueNames: [String] { runtime.read { $0.queueIDs.keys.sorted() } }

    /// The names of all exchanges, sorted; the default exchange's name is empty.
    public var exchangeNames: [String] { runtime.read { $0.exchanges.names } }

    /// The messages that are ready in a queue, in the order of their delivery; none if the queue doesn't exist.
    public func readyMessages(in queue: String) -> [Message] {
        storedMessages(in: queue).map(\.message)
    }

    /// The number of a queue's deliveries that are unsettled.
    public func unsettledCount(of queue: String) -> Int {
        runtime.read { machine in
            guard let id = machine.queueIDs[queue] else { return 0 }
            return machine.channels.values.map { $0.unsettled.count(of: id) }.reduce(0, +)
        }
    }

    /// Counts of the messages that have passed through the broker.
    public var totals: BrokerTotals { runtime.read(\.totals) }

    /// The number of a queue's consumers.
    package func consumerCount(of queue: String) -> Int {
        runtime.read { machine in
            guard let id = machine.queueIDs[queue] else { return 0 }
            return machine.queues[id]?.status.consumerCount ?? 0
        }
    }

    /// The number of unsettled deliveries of all queues.
    package var unsettledCount: Int { runtime.read(\.unsettledCount) }

    /// The number of open channels: one for each consumer, and one for the gets of each connection that has made any.
    ///
    /// A cancelled consumer keeps its channel until it is closed, so that its deliveries can be settled.
    package var channelCount: Int { runtime.read(\.channels.count) }

    /// The ready messages of a queue, with the destinations to which they were published.
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

    /// Returns whether no queue with consumers has a ready message, and at most `unsettled` deliveries are unsettled.
    package func isQuiet(exceptFor unsettled: Int) -> Bool {
        runtime.read { machine in
            machine.unsettledCount <= unsettled
                && machine.queues.values.allSatisfy { $0.consumers.isEmpty || $0.ready.isEmpty }
        }
    }

    // MARK: Closing

    /// Closes the first connection; the broker and its other connections stay.
    ///
    /// A broker with a file closes all connections, writes what is left, and releases the file.
    public func close() async {
        await connection.close()
        await runtime.closeJournal(.closedByProgram)
    }
}

// Documented by `Transport`. Everything here is done by the broker's first connection.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension EmbeddedBroker {
    public func broker() async throws(AMQPError) -> BrokerIdentity { try await connection.broker() }

    public func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        try await connection.declare(exchange)
    }

    @discardableResult
    public func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try await connection.declare(queue)
    }

    public func bind(_ binding: Binding) async throws(AMQPError) { try await connection.bind(binding) }

    public func unbind(_ binding: Binding) async throws(AMQPError) { try await connection.unbind(binding) }

    public func deleteExchange(_ name: String, ifUnused: Bool) async throws(AMQPError) {
        try await connection.deleteExchange(name, ifUnused: ifUnused)
    }

    @discardableResult
    public func deleteQueue(_ name: String, ifUnused: Bool, ifEmpty: Bool) async throws(AMQPError) -> Int {
        try await connection.deleteQueue(name, ifUnused: ifUnused, ifEmpty: ifEmpty)
    }

    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int { try await connection.purgeQueue(name) }

    public func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        try await connection.status(ofQueue: name)
    }

    public func exchangeExists(_ name: String) async throws(AMQPError) -> Bool {
        try await connection.exchangeExists(name)
    }

    public func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool = true,
        deadline: ContinuousClock.Instant = .now + .seconds(30)
    ) async throws(AMQPError) {
        try await connection.publish(message, to: destination, mandatory: mandatory, deadline: deadline)
    }

    public func consume(
        queue: String,
        prefetch: UInt16,
        options: ConsumeOptions
    ) async throws(AMQPError) -> DeliveryStream {
        try await connection.consume(queue: queue, prefetch: prefetch, options: options)
    }

    public func get(queue: String) async throws(AMQPError) -> Delivery? { try await connection.get(queue: queue) }

    public var health: TransportHealth { connection.health }
}

extension EmbeddedBroker: BindingDirectory {
    package func bindings(from exchange: String) -> [Binding] {
        runtime.read { Array($0.exchanges[exchange]?.bindings ?? []) }
    }
}

/// Counts of the messages that have passed through an ``EmbeddedBroker`` since it started, as in RabbitMQ's
/// `message_stats`.
///
/// They only grow, and end with the process. For the present contents of a queue, ask for its status.
public struct BrokerTotals: Sendable, Hashable {
    /// Messages that clients published to an existing exchange, whatever became of them there.
    public var published = 0
    /// Deliveries to consumers and to gets.
    public var delivered = 0
    /// Deliveries that may have been made before.
    public var redelivered = 0
    /// Deliveries that were acknowledged.
    public var acknowledged = 0
    /// Deliveries that were requeued or lost with their channel, including those that then exceeded the queue's
    /// delivery limit.
    ///
    /// RabbitMQ doesn't count them.
    public var requeued = 0

    init() {}
}

extension BrokerMachine {
    fileprivate var unsettledCount: Int { channels.values.map(\.unsettled.count).reduce(0, +) }
}
