public import AMQP
public import Logging
import Synchronization

/// A client of RabbitMQ.
///
/// It connects when it is first used, over two connections: one for publishing and one for everything else, so that an alarm that makes
/// the broker stop publishers can't stop acknowledgements.
///
/// A connection that is lost is made again, at any of the broker's endpoints, with pauses of up to a second between the rounds. What
/// isn't durable is declared again, consumers consume again (their streams go on), and publishes that weren't confirmed are sent again
/// while their deadlines allow. Until a client has been connected once, it doesn't wait for a broker: a failed attempt fails what
/// waits for it, since the address may be wrong.
///
/// All methods may be called from any task at once. Call ``close()`` at the end.
public final class RabbitMQClient: Transport {
    /// What can be set about a client.
    public struct Configuration: Sendable {
        /// Where the broker is and who the client is there: a URL for each of a cluster's nodes that it may use.
        ///
        /// They are tried in an order drawn at random.
        public var urls: [BrokerURL]
        /// The name under which the broker's operator sees the connections.
        public var connectionName: String
        /// How long the broker may take to answer a declaration, a get, or the like.
        public var requestTimeout: Duration = .seconds(30)
        /// The largest body that is sent, in bytes.
        public var maximumBodySize = Message.maximumBodySize

        /// A configuration for a broker.
        public init(url: BrokerURL, connectionName: String = "warren") {
            self.init(urls: [url], connectionName: connectionName)
        }

        /// A configuration for a cluster, with at least one URL.
        public init(urls: [BrokerURL], connectionName: String = "warren") {
            precondition(!urls.isEmpty, "A client needs the URL of a broker.")
            self.urls = urls
            self.connectionName = connectionName
        }
    }

    /// The connection for each purpose, once it was needed.
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

    /// A client with this configuration.
    public init(_ configuration: Configuration, logger: Logger = Logger(label: "warren.rabbitmq")) {
        self.configuration = .success(configuration)
        maximumBodySize = configuration.maximumBodySize
        self.logger = logger
    }

    /// A client of the broker at a URL, or of a cluster at several, with commas between them.
    ///
    /// A URL that can't be used is told at the first use, as `invalidURL`.
    public init(url: String, connectionName: String = "warren", logger: Logger = Logger(label: "warren.rabbitmq")) {
        do {
            configuration = .success(Configuration(urls: try BrokerURL.list(url), connectionName: connectionName))
        } catch {
            configuration = .failure(error)
        }
        maximumBodySize = Message.maximumBodySize
        self.logger = logger
    }

    // MARK: Transport

    /// The broker at the other end.
    public func broker() async throws(AMQPError) -> BrokerIdentity {
        let properties = try await connection(.consuming).awaitServerProperties(deadline: requestDeadline())
        return BrokerIdentity(
            product: properties["product"]?.stringValue ?? "unknown",
            version: properties["version"]?.stringValue.flatMap(BrokerVersion.init) ?? BrokerVersion(0, 0)
        )
    }

    /// Declares an exchange.
    ///
    /// - Throws: `declarationMismatch` if it exists and is different, with what differs; `accessRefused`.
    public func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        try exchange.validate()
        _ = try await request(.declareExchange(exchange, passive: false))
    }

    /// Declares a queue.
    ///
    /// - Throws: `declarationMismatch` if it exists and is different, with what differs; `resourceLocked`, `accessRefused`.
    @discardableResult
    public func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try queue.validate()
        return try await status(.declareQueue(queue, passive: false))
    }

    /// Adds a binding.
    ///
    /// - Throws: `notFound` if the exchange or the target doesn't exist.
    public func bind(_ binding: Binding) async throws(AMQPError) {
        try binding.validate()
        _ = try await request(.bind(binding))
    }

    /// Removes a binding; one that doesn't exist is no error.
    public func unbind(_ binding: Binding) async throws(AMQPError) {
        try binding.validate()
        _ = try await request(.unbind(binding))
    }

    /// Deletes an exchange; one that doesn't exist is no error.
    public func deleteExchange(_ name: String) async throws(AMQPError) {
        _ = try await request(.deleteExchange(name))
    }

    /// Deletes a queue with what is in it, and says how many messages that were.
    @discardableResult
    public func deleteQueue(_ name: String) async throws(AMQPError) -> Int {
        guard case .queueDeleteOk(let count) = try await request(.deleteQueue(name)) else { return 0 }
        return count
    }

    /// Removes the ready messages of a queue, and says how many they were.
    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        guard case .queuePurgeOk(let count) = try await request(.purgeQueue(name)) else { return 0 }
        return count
    }

    /// What is in a queue and who reads it.
    ///
    /// - Throws: `notFound` if it doesn't exist.
    public func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        try await status(.declareQueue(QueueDeclaration(name), passive: true))
    }

    /// Whether an exchange exists.
    public func exchangeExists(_ name: String) async throws(AMQPError) -> Bool {
        do {
            _ = try await request(.declareExchange(ExchangeDeclaration(name, kind: .direct), passive: true))
            return true
        } catch  where error.code == .notFound {
            return false
        }
    }

    /// Publishes a message and returns when the broker has taken responsibility for it.
    ///
    /// A mandatory message without an id gets one, by which the broker's return of it is recognised.
    ///
    /// - Throws: what ``Transport/publish(_:to:mandatory:deadline:)`` says.
    public func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool = true,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        let message = try checked(message, for: destination, mandatory: mandatory)
        let pending = PendingPublish(message, to: destination, mandatory: mandatory, deadline: deadline)
        try connection(.publishing).thread.post(pending)
        try await pending.outcome()
    }

    /// Publishes a message and returns when the broker has taken responsibility for it, within `timeout`.
    public func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool = true,
        timeout: Duration = .seconds(30)
    ) async throws(AMQPError) {
        try await publish(message, to: destination, mandatory: mandatory, deadline: .now + timeout)
    }

    /// Consumes a queue, on a channel of its own.
    ///
    /// - Throws: `notFound` if the queue doesn't exist; `accessRefused`, `resourceLocked`, `refused`.
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

    /// Takes one message from a queue, or `nil` if none is ready.
    ///
    /// - Throws: `notFound` if the queue doesn't exist; unsettled messages that were taken before go back then.
    public func get(queue: String) async throws(AMQPError) -> Delivery? {
        try await connection(.consuming).get(queue: queue, deadline: requestDeadline())
    }

    /// Closes both connections in order.
    ///
    /// Unsettled deliveries go back to their queues. A later call connects again.
    public func close() async {
        let open = connections.withLock { connections in
            defer { connections = Connections() }
            return connections.all
        }
        for connection in open { await connection.close() }
    }

    // MARK: State

    /// How the two connections are now.
    public var health: TransportHealth {
        var health = states.health
        health.lastReceived = connections.withLock { $0[.consuming] }?.receivedAt
        if let heartbeat = try? configuration.get().urls[0].heartbeat, heartbeat > .zero {
            health.heartbeatTimeout = heartbeat * 2
        }
        return health
    }

    /// The states of the two connections: now, and whenever one of them changes.
    ///
    /// The sequence ends with the task that reads it. A reader that is more than 16 changes behind misses the oldest.
    public func healthChanges() -> AsyncStream<TransportHealth> { states.watch() }

    /// What the client had to recover from so far.
    public var statistics: ClientStatistics { counters.statistics }

    // MARK: Connections

    /// The connection for a purpose, which may be open or not.
    private func connection(_ purpose: ConnectionPurpose) throws(AMQPError) -> Connection {
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
            throw AMQPError(.malformed, "The broker's answer is of another kind: \(method.summary).")
        }
        return status
    }

    private func requestDeadline() throws(AMQPError) -> ContinuousClock.Instant {
        .now + (try configuration.get().requestTimeout)
    }

    /// The message as it is sent, if it can be.
    private func checked(
        _ message: Message,
        for destination: Destination,
        mandatory: Bool
    ) throws(AMQPError) -> Message {
        guard message.body.count <= maximumBodySize else {
            throw .bodyTooLarge(message.body.count, limit: maximumBodySize, to: destination)
        }
        try destination.validate()
        try message.properties.validate()
        try message.properties.checkFitsFrame(for: destination)
        guard mandatory, message.properties.messageID == nil else { return message }
        var message = message
        message.properties.messageID =
            "\(messagePrefix)-\(messageNumber.add(1, ordering: .relaxed).newValue)"
        return message
    }
}

extension RabbitMQClient.Configuration {
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
    /// RabbitMQ at a URL.
    ///
    /// A URL that can't be used is told at the first use, as `invalidURL`.
    public static func rabbitMQ(_ url: String) -> RabbitMQClient {
        RabbitMQClient(url: url)
    }
}

extension BasicProperties {
    /// Throws if the properties may not fit into one frame, as AMQP demands of a content header.
    ///
    /// librabbitmq would notice only after the frame before it was sent, and the connection would be lost with all that is under way.
    fileprivate func checkFitsFrame(for destination: Destination) throws(AMQPError) {
        let strings = [
            contentType, contentEncoding, correlationID, replyTo, expiration, messageID, type, userID, appID,
        ]
        let size = strings.reduce(64) { $0 + ($1?.utf8.count ?? 0) + 1 } + (headers?.largestWireSize ?? 0)
        guard size > ConnectionConfiguration.frameSize else { return }
        throw AMQPError(
            .messageTooLarge,
            """
            The message to \(destination) has headers of about \(size) bytes, and \(ConnectionConfiguration.frameSize) is the limit: \
            put the data into the body. Nothing was sent.
            """
        )
    }
}

extension FieldTable {
    /// Not less than the table's size on the wire.
    fileprivate var largestWireSize: Int {
        reduce(4) { $0 + $1.name.utf8.count + 1 + $1.value.largestWireSize }
    }
}

extension FieldValue {
    fileprivate var largestWireSize: Int {
        switch self {
        case .string(let text): 5 + text.utf8.count
        case .bytes(let octets): 5 + octets.count
        case .array(let elements): elements.reduce(5) { $0 + $1.largestWireSize }
        case .table(let table): 1 + table.largestWireSize
        default: 9
        }
    }
}
