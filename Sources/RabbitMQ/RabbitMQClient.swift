public import AMQP
public import Logging
import Synchronization

/// A client of RabbitMQ.
///
/// It connects on first use, over two connections: one for publishing and one for all other operations, so that an
/// alarm that makes the broker block publishers can't block acknowledgements.
///
/// A lost connection is made again, at any of the broker's endpoints, with pauses of up to a second between rounds.
/// Whatever isn't durable is declared again, consumers consume again (their streams continue), and unconfirmed
/// publishes are sent again while their deadlines allow. Until a client has connected for the first time it doesn't
/// wait for a broker: a failed attempt fails everything that waits for it, since the address may be wrong.
///
/// A mandatory message without an id gets one, by which the client recognises the broker's return of it. `Transport`
/// names the errors of each method. A refused `get(queue:)` closes its channel, so that the broker requeues the
/// unsettled deliveries of earlier calls.
///
/// All methods may be called concurrently from any task. Call ``close()`` at the end; a later call connects again.
public final class RabbitMQClient: Sendable {
    /// The settings of a client.
    public struct Configuration: Sendable {
        /// The broker's address and the client's credentials, a URL for each usable node of a cluster.
        ///
        /// They are tried in random order. Each use of a client without any fails with `invalidURL`.
        public var urls: [BrokerURL]
        /// The name under which the broker's operator sees the connections.
        public var connectionName: String
        /// The longest time that the broker may take to answer a request, such as a declaration or a get.
        public var requestTimeout: Duration = .seconds(30)
        /// The largest body that the client sends, in bytes.
        public var maximumBodySize = Message.maximumBodySize

        /// Creates a configuration for a broker.
        ///
        /// - Parameters:
        ///   - url: The broker's URL.
        ///   - connectionName: The name under which the broker's operator sees the connections.
        public init(url: BrokerURL, connectionName: String = "warren") {
            self.init(urls: [url], connectionName: connectionName)
        }

        /// Creates a configuration for a cluster.
        ///
        /// - Parameters:
        ///   - urls: The URLs of the cluster's nodes, at least one.
        ///   - connectionName: The name under which the broker's operator sees the connections.
        public init(urls: [BrokerURL], connectionName: String = "warren") {
            self.urls = urls
            self.connectionName = connectionName
        }
    }

    /// The connections that have been needed so far, by purpose.
    private struct Connections {
        private var publishing: Connection?
        private var consuming: Connection?

        subscript(purpose: ConnectionPurpose) -> Connection? {
            get { purpose == .publishing ? publishing : consuming }
            set { if purpose == .publishing { publishing = newValue } else { consuming = newValue } }
        }

        var all: [Connection] { [publishing, consuming].compactMap(\.self) }
    }

    private let configuration: Result<Configuration, AMQPError>
    private let logger: Logger
    private let maximumBodySize: Int
    private let connections = Mutex(Connections())
    private let states = ConnectionStates()
    private let counters = ClientCounters()
    private let messageNumber = Atomic<UInt64>(0)
    private let messagePrefix = String(UInt64.random(in: 0 ... .max), radix: 36)

    /// Creates a client that connects on first use.
    ///
    /// - Parameters:
    ///   - configuration: The brokers to connect to, and the client's limits. Invalid settings are reported on first
    ///     use, as `invalidURL`.
    ///   - logger: Logs the loss and recovery of connections.
    public init(_ configuration: Configuration, logger: Logger = Logger(label: "warren.rabbitmq")) {
        self.configuration = Result { () throws(AMQPError) in try configuration.validated() }
        maximumBodySize = configuration.maximumBodySize
        self.logger = logger
    }

    /// Creates a client that connects on first use to the broker at a URL.
    ///
    /// - Parameters:
    ///   - url: The broker's URL, or those of a cluster's nodes, separated by commas. An invalid one is reported on
    ///     first use, as `invalidURL`.
    ///   - connectionName: The name under which the broker's operator sees the connections.
    ///   - logger: Logs the loss and recovery of connections.
    public init(url: String, connectionName: String = "warren", logger: Logger = Logger(label: "warren.rabbitmq")) {
        do {
            configuration = .success(Configuration(urls: try BrokerURL.list(url), connectionName: connectionName))
        } catch {
            configuration = .failure(error)
        }
        maximumBodySize = Message.maximumBodySize
        self.logger = logger
    }

    /// Publishes a message and returns when the broker has taken responsibility for it.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: The exchange and routing key, or the queue, to publish to.
    ///   - mandatory: Whether a message that reaches no queue is an error (`unroutable`).
    ///   - timeout: The longest time to wait.
    /// - Throws: The errors of ``publish(_:to:mandatory:deadline:)``.
    public func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool = true,
        timeout: Duration = .seconds(30)
    ) async throws(AMQPError) {
        try await publish(message, to: destination, mandatory: mandatory, deadline: .now + timeout)
    }

    /// An executor for tasks that do little more than publish: the thread of the publishing connection.
    ///
    /// A task that prefers it publishes and learns of the confirm without a change of threads, which is most of a
    /// publish's cost on this side:
    ///
    /// ```swift
    /// try await withTaskExecutorPreference(client.publishingExecutor) {
    ///     for letter in letters { try await client.publish(letter, to: .queue("letters")) }
    /// }
    /// ```
    /// Whatever such a task computes delays every other publish of the client, and a task that blocks stops them, so
    /// do nothing there that takes longer than a few microseconds.
    public var publishingExecutor: any TaskExecutor { PublishingExecutor(client: self) }

    /// The states of the two connections: the present ones, and the new ones whenever one changes.
    ///
    /// The sequence ends with the task that reads it. A reader that is more than 16 changes behind misses the oldest.
    public func healthChanges() -> AsyncStream<TransportHealth> { states.watch() }

    /// Counts of the failures from which the client has recovered so far.
    public var statistics: ClientStatistics { counters.statistics }

    // MARK: Connections

    /// Returns the connection for a purpose, which may be open or not.
    fileprivate func connection(_ purpose: ConnectionPurpose) throws(AMQPError) -> Connection {
        let configuration = try configuration.get()
        return try connections.withLock { connections throws(AMQPError) in
            if let connection = connections[purpose], !connection.isClosed { return connection }
            let connection = try Connection(
                configuration.urls.map { configuration.forConnection($0, purpose) },
                purpose: purpose,
                states: states,
                counters: counters,
                logger: logger
            )
            connections[purpose] = connection
            return connection
        }
    }

    private func request(_ method: OutboundMethod) async throws(AMQPError) -> InboundMethod {
        try await connection(.consuming).request(method, deadline: requestDeadline())
    }

    private func status(_ method: OutboundMethod) async throws(AMQPError) -> QueueStatus {
        guard case .queueDeclareOk(let status) = try await request(method) else {
            throw AMQPError(.malformed, "The broker gave an answer of the wrong kind: \(method.summary).")
        }
        return status
    }

    private func requestDeadline() throws(AMQPError) -> ContinuousClock.Instant {
        .now + (try configuration.get().requestTimeout)
    }

    /// Validates a message, and returns it as it is to be sent.
    private func validated(
        _ message: Message,
        for destination: Destination,
        mandatory: Bool
    ) throws(AMQPError) -> Message {
        guard message.body.count <= maximumBodySize else {
            throw .bodyTooLarge(message.body.count, limit: maximumBodySize, to: destination)
        }
        try destination.validate()
        try message.properties.validate()
        guard mandatory, message.properties.messageID == nil else { return message }
        var message = message
        message.properties.messageID =
            "\(messagePrefix)-\(messageNumber.add(1, ordering: .relaxed).newValue)"
        return message
    }
}

/// Runs tasks on the thread of a client's publishing connection.
private final class PublishingExecutor: TaskExecutor {
    private let client: RabbitMQClient

    init(client: RabbitMQClient) { self.client = client }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // A client that can't connect has no thread, and one that was closed has no longer one.
        if let thread = try? client.connection(.publishing).thread, thread.enqueue(job, of: self) { return }
        globalConcurrentExecutor.enqueue(job)
    }
}

// Documented by the protocol's requirements.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension RabbitMQClient: Transport {
    public func broker() async throws(AMQPError) -> BrokerIdentity {
        let properties = try await connection(.consuming).awaitServerProperties(deadline: requestDeadline())
        return BrokerIdentity(
            product: properties["product"]?.stringValue ?? "unknown",
            version: properties["version"]?.stringValue.flatMap(BrokerVersion.init) ?? BrokerVersion(0, 0)
        )
    }

    public func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        try exchange.validate()
        _ = try await request(.declareExchange(exchange, passive: false))
        connections.withLock { $0[.publishing] }?.publisher.withLock { $0.exchangeDeclared(exchange.name) }
    }

    @discardableResult
    public func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try queue.validate()
        return try await status(.declareQueue(queue, passive: false))
    }

    public func bind(_ binding: Binding) async throws(AMQPError) {
        try binding.validate()
        _ = try await request(.bind(binding))
    }

    public func unbind(_ binding: Binding) async throws(AMQPError) {
        try binding.validate()
        _ = try await request(.unbind(binding))
    }

    public func deleteExchange(_ name: String) async throws(AMQPError) {
        _ = try await request(.deleteExchange(name))
    }

    @discardableResult
    public func deleteQueue(_ name: String) async throws(AMQPError) -> Int {
        guard case .queueDeleteOk(let count) = try await request(.deleteQueue(name)) else { return 0 }
        return count
    }

    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        guard case .queuePurgeOk(let count) = try await request(.purgeQueue(name)) else { return 0 }
        return count
    }

    public func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        try await status(.declareQueue(QueueDeclaration(name), passive: true))
    }

    public func exchangeExists(_ name: String) async throws(AMQPError) -> Bool {
        do {
            _ = try await request(.declareExchange(ExchangeDeclaration(name, kind: .direct), passive: true))
            return true
        } catch  where error.code == .notFound {
            return false
        }
    }

    public func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool = true,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        if Task.isCancelled { throw .publishCancelled(to: destination, wasSent: false) }
        let message = try validated(message, for: destination, mandatory: mandatory)
        let pending = PendingPublish(message, to: destination, mandatory: mandatory, deadline: deadline)
        try connection(.publishing).thread.post(pending)
        try await pending.outcome()
    }

    public func consume(
        queue: String,
        prefetch: UInt16,
        arguments: FieldTable = FieldTable()
    ) async throws(AMQPError) -> DeliveryStream {
        try await connection(.consuming).consume(
            ConsumerChannel.Consumption(queue: queue, prefetch: prefetch, arguments: arguments),
            deadline: requestDeadline()
        )
    }

    public func get(queue: String) async throws(AMQPError) -> Delivery? {
        try await connection(.consuming).get(queue: queue, deadline: requestDeadline())
    }

    public var health: TransportHealth {
        var health = states.health
        health.lastReceived = connections.withLock { $0[.consuming] }?.receivedAt
        if let heartbeat = try? configuration.get().urls[0].heartbeat, heartbeat > .zero {
            health.heartbeatTimeout = heartbeat * 2
        }
        return health
    }

    public func close() async {
        let open = connections.withLock { connections in
            defer { connections = Connections() }
            return connections.all
        }
        for connection in open { await connection.close() }
    }
}

extension RabbitMQClient.Configuration {
    /// Throws if there is no URL, or one that can't be used.
    fileprivate func validated() throws(AMQPError) -> Self {
        guard !urls.isEmpty else { throw AMQPError(.invalidURL, "The client has no broker's URL: name at least one.") }
        for url in urls { try url.validate() }
        return self
    }

    fileprivate func forConnection(_ url: BrokerURL, _ purpose: ConnectionPurpose) -> ConnectionConfiguration {
        ConnectionConfiguration(
            endpoint: url.endpoint,
            virtualHost: url.virtualHost,
            credentials: url.credentials,
            tls: url.tls,
            heartbeat: url.heartbeat,
            connectTimeout: url.connectTimeout,
            name: "\(connectionName) (\(purpose.rawValue))"
        )
    }
}

extension Transport where Self == RabbitMQClient {
    /// A client of the broker at a URL.
    ///
    /// - Parameter url: The broker's URL, or those of a cluster's nodes, separated by commas. An invalid one is
    ///   reported on first use, as `invalidURL`.
    public static func rabbitMQ(_ url: String) -> RabbitMQClient {
        RabbitMQClient(url: url)
    }
}
