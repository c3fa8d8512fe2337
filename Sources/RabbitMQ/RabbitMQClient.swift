public import AMQP
import DequeModule
public import Logging
public import ServiceLifecycle
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
/// A consumer that makes the broker close the connection, as that of a stream without a replica on its node, gets a
/// connection for itself from then on, so that it can't take the others down with it again; one with
/// `ConsumeOptions.isIsolated` has it from the beginning.
///
/// All methods may be called concurrently from any task. Call ``close()`` at the end, or ``run()`` the client in a
/// `ServiceGroup`, which does: from then on every call throws `closed`.
public final class RabbitMQClient: Sendable {
    /// The settings of a client.
    public struct Configuration: Sendable {
        /// The broker's address and the client's credentials, a URL for each usable node of a cluster.
        ///
        /// They are tried in random order.
        public var urls: [BrokerURL]
        /// The name under which the broker's operator sees the connections.
        public var connectionName: String
        /// The source of the credentials, for passwords that are rotated and tokens that expire; by default `nil`, and
        /// the credentials are those of ``urls``.
        public var credentials: CredentialsSource?
        /// The longest time that the broker may take to answer a request, such as a declaration or a get.
        public var requestTimeout: Duration = .seconds(30)
        /// The largest body that the client sends, in bytes.
        public var maximumBodySize = Message.maximumBodySize
        /// See ``ConnectionConfiguration``; set only in tests.
        var failsSend: (@Sendable () -> Bool)?
        /// See ``ConnectionConfiguration``; set only in tests.
        var leavesTLSToLibrary = false

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
        /// Those of consumers that asked for their own, or may have made the broker close a connection.
        var isolated: [Connection] = []
        /// The queues that could not be consumed recently, and because of which the broker closed a connection.
        var troubledQueues: Set<String> = []
        var isClosed = false

        subscript(purpose: ConnectionPurpose) -> Connection? {
            get { purpose == .publishing ? publishing : consuming }
            set { if purpose == .publishing { publishing = newValue } else { consuming = newValue } }
        }

        /// Takes out all connections, for good.
        mutating func close() -> [Connection] {
            let all = [publishing, consuming].compactMap(\.self) + isolated
            self = Connections()
            isClosed = true
            return all
        }
    }

    /// The number of troubled queues that are remembered.
    private static let troubledQueueLimit = 1000

    private let configuration: Configuration
    private let logger: Logger
    private let connections = Mutex(Connections())
    private let states = ConnectionStates()
    private let transientTopology = TransientTopology()
    private let counters = ClientCounters()
    private let messageNumber = Atomic<UInt64>(0)
    private let messagePrefix = String(UInt64.random(in: 0 ... .max), radix: 36)

    /// Creates a client that connects on first use.
    ///
    /// - Parameters:
    ///   - configuration: The brokers to connect to, and the client's limits.
    ///   - logger: Logs the loss and recovery of connections.
    /// - Throws: `invalidURL` if there is no URL, or one of them can't be used.
    public init(
        _ configuration: Configuration,
        logger: Logger = Logger(label: "warren.rabbitmq")
    ) throws(AMQPError) {
        self.configuration = try configuration.validated()
        self.logger = logger
    }

    /// Creates a client that connects on first use to the broker at a URL.
    ///
    /// - Parameters:
    ///   - url: The broker's URL, or those of a cluster's nodes, separated by commas.
    ///   - connectionName: The name under which the broker's operator sees the connections.
    ///   - credentials: The source of the credentials, if they aren't those of the URL.
    ///   - logger: Logs the loss and recovery of connections.
    /// - Throws: `invalidURL`, with the fault.
    public convenience init(
        url: String,
        connectionName: String = "warren",
        credentials: CredentialsSource? = nil,
        logger: Logger = Logger(label: "warren.rabbitmq")
    ) throws(AMQPError) {
        var configuration = Configuration(urls: try BrokerURL.list(url), connectionName: connectionName)
        configuration.credentials = credentials
        try self.init(configuration, logger: logger)
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

    /// Publishes messages from one task, many at a time, and returns the result of each, in their order.
    ///
    /// ```swift
    /// for await result in client.publish(contentsOf: letters, to: .queue("letters")) {
    ///     if case .failure(let error) = result { print(error) }
    /// }
    /// ```
    /// The messages are taken as the results are read: at most `window` are under way, so that any number of messages
    /// takes little memory. Messages that are under way when the loop is left are sent all the same.
    ///
    /// - Parameters:
    ///   - messages: The messages.
    ///   - destination: The exchange and routing key, or the queue, to publish to.
    ///   - mandatory: Whether a message that reaches no queue is an error (`unroutable`).
    ///   - timeout: The longest time to wait for each.
    ///   - window: The largest number of messages under way.
    public func publish<Messages: Sequence<Message>>(
        contentsOf messages: Messages,
        to destination: Destination,
        mandatory: Bool = true,
        timeout: Duration = .seconds(30),
        window: Int = 1000
    ) -> PublishResults<Messages> {
        PublishResults(messages: messages, window: max(1, window)) { [self] message in
            Result { () throws(AMQPError) in
                try begin(message, to: destination, mandatory: mandatory, deadline: .now + timeout)
            }
        }
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
    /// The sequence ends with the task that reads it, and with the client. A reader that is more than 16 changes behind
    /// misses the oldest.
    public func healthChanges() -> AsyncStream<TransportHealth> { states.watch() }

    /// Counts of the failures from which the client has recovered so far.
    public var statistics: ClientStatistics { counters.statistics }

    // MARK: Connections

    /// Returns the connection for a purpose, which may be open or not.
    fileprivate func connection(_ purpose: ConnectionPurpose) throws(AMQPError) -> Connection {
        try connections.withLock { connections throws(AMQPError) in
            if connections.isClosed { throw .closedByProgram }
            if let connection = connections[purpose] { return connection }
            let connection = try Connection(
                configuration.urls.map { configuration.forConnection($0, purpose) },
                purpose: purpose,
                states: states,
                counters: counters,
                logger: logger,
                transientTopology: transientTopology,
                isolate: { [weak self] consumer in self?.isolate(consumer) ?? false }
            )
            connections[purpose] = connection
            return connection
        }
    }

    // MARK: Isolated consumers

    /// Moves a consumer that may have made the broker close its connection to a separate one; returns false if the
    /// client is closed.
    private func isolate(_ consumer: ConsumerChannel) -> Bool {
        guard let connection = try? isolatedConnection() else { return false }
        consumer.ref.connection = connection
        connection.thread.post { $0.begin(consumer) }
        return true
    }

    /// Makes a connection for one consumer, which closes itself when the consumer has ended.
    private func isolatedConnection() throws(AMQPError) -> Connection {
        try connections.withLock { connections throws(AMQPError) in
            if connections.isClosed { throw .closedByProgram }
            connections.isolated.removeAll(where: \.isClosed)
            let connection = try Connection(
                configuration.urls.map { configuration.forConnection($0, .consuming) },
                purpose: .consuming,
                states: states,
                counters: counters,
                logger: logger
            )
            connections.isolated.append(connection)
            return connection
        }
    }

    /// Returns the connection for a new consumer of a queue.
    private func connection(toConsume queue: String, isIsolated: Bool) throws(AMQPError) -> Connection {
        let isIsolated = isIsolated || connections.withLock { $0.troubledQueues.contains(queue) }
        return isIsolated ? try isolatedConnection() : try connection(.consuming)
    }

    /// Remembers whether a queue made the broker close a connection when it was to be consumed.
    private func note(_ queue: String, isTroubled: Bool) {
        connections.withLock { connections in
            if !isTroubled {
                connections.troubledQueues.remove(queue)
            } else if connections.troubledQueues.count < Self.troubledQueueLimit {
                connections.troubledQueues.insert(queue)
            }
        }
    }

    // MARK: Requests

    private func request(_ method: OutboundMethod, _ timeout: Duration? = nil) async throws(AMQPError) -> InboundMethod
    {
        try await connection(.consuming).request(method, deadline: deadline(timeout))
    }

    private func status(_ method: OutboundMethod, _ timeout: Duration? = nil) async throws(AMQPError) -> QueueStatus {
        guard case .queueDeclareOk(let status) = try await request(method, timeout) else {
            throw AMQPError(.malformed, "The broker gave an answer of the wrong kind: \(method.summary).")
        }
        return status
    }

    /// The deadline of a request with a time limit, which is the client's by default.
    private func deadline(_ timeout: Duration?) -> ContinuousClock.Instant {
        .now + (timeout ?? configuration.requestTimeout)
    }

    /// Hands a publish over to the connection.
    private func begin(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool,
        deadline: ContinuousClock.Instant
    ) throws(AMQPError) -> PendingPublish {
        if Task.isCancelled { throw .publishCancelled(to: destination, wasSent: false) }
        let message = try validated(message, for: destination, mandatory: mandatory)
        let pending = PendingPublish(
            message,
            properties: try message.properties.encoded(),
            to: destination,
            mandatory: mandatory,
            deadline: deadline
        )
        try connection(.publishing).thread.post(pending)
        return pending
    }

    /// Validates a message, and returns it as it is to be sent.
    private func validated(
        _ message: Message,
        for destination: Destination,
        mandatory: Bool
    ) throws(AMQPError) -> Message {
        guard message.body.count <= configuration.maximumBodySize else {
            throw .bodyTooLarge(message.body.count, limit: configuration.maximumBodySize, to: destination)
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

// The requests, each with a separate time limit; without one, see the client's `requestTimeout`.
extension RabbitMQClient {
    /// Declares an exchange, with a separate time limit.
    ///
    /// - Throws: As without the time limit.
    public func declare(_ exchange: ExchangeDeclaration, timeout: Duration?) async throws(AMQPError) {
        try exchange.validate()
        _ = try await request(.declareExchange(exchange, passive: false), timeout)
        connections.withLock { $0[.publishing] }?.publisher.withLock { $0.exchangeDeclared(exchange.name) }
    }

    /// Declares a queue, with a separate time limit.
    ///
    /// - Throws: As without the time limit.
    @discardableResult
    public func declare(_ queue: QueueDeclaration, timeout: Duration?) async throws(AMQPError) -> QueueStatus {
        try queue.validate()
        return try await status(.declareQueue(queue, passive: false), timeout)
    }

    /// Adds a binding, with a separate time limit.
    ///
    /// - Throws: As without the time limit.
    public func bind(_ binding: Binding, timeout: Duration?) async throws(AMQPError) {
        try binding.validate()
        _ = try await request(.bind(binding), timeout)
    }

    /// Consumes a queue, with a separate time limit.
    ///
    /// - Throws: As without the time limit.
    public func consume(
        queue: String,
        prefetch: UInt16,
        options: ConsumeOptions = ConsumeOptions(),
        timeout: Duration?
    ) async throws(AMQPError) -> DeliveryStream {
        try options.validate(for: queue)
        do throws(AMQPError) {
            let connection = try connection(toConsume: queue, isIsolated: options.isIsolated)
            let stream = try await connection.consume(
                ConsumerChannel.Consumption(queue: queue, prefetch: prefetch, options: options),
                deadline: deadline(timeout)
            )
            note(queue, isTroubled: false)
            return stream
        } catch {
            if error.reply?.isConnectionFault == true { note(queue, isTroubled: true) }
            throw error
        }
    }

    /// Fetches one message from a queue, with a separate time limit.
    ///
    /// - Throws: As without the time limit.
    public func get(queue: String, timeout: Duration?) async throws(AMQPError) -> Delivery? {
        try ShortString.validate(queue, "The name of the queue to get from")
        return try await connection(.consuming).get(queue: queue, deadline: deadline(timeout))
    }
}

// Documented by the protocol's requirements.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension RabbitMQClient: Transport {
    public func broker() async throws(AMQPError) -> BrokerIdentity {
        let properties = try await connection(.consuming).awaitServerProperties(deadline: deadline(nil))
        return BrokerIdentity(
            product: properties["product"]?.stringValue ?? "unknown",
            version: properties["version"]?.stringValue.flatMap(BrokerVersion.init) ?? BrokerVersion(0, 0)
        )
    }

    public func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        try await declare(exchange, timeout: nil)
    }

    @discardableResult
    public func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try await declare(queue, timeout: nil)
    }

    public func bind(_ binding: Binding) async throws(AMQPError) { try await bind(binding, timeout: nil) }

    public func unbind(_ binding: Binding) async throws(AMQPError) {
        try binding.validate()
        _ = try await request(.unbind(binding))
    }

    public func deleteExchange(_ name: String, ifUnused: Bool) async throws(AMQPError) {
        try ShortString.validate(name, "The name of the exchange to delete")
        _ = try await request(.deleteExchange(name, ifUnused: ifUnused))
    }

    @discardableResult
    public func deleteQueue(_ name: String, ifUnused: Bool, ifEmpty: Bool) async throws(AMQPError) -> Int {
        try ShortString.validate(name, "The name of the queue to delete")
        let answer = try await request(.deleteQueue(name, ifUnused: ifUnused, ifEmpty: ifEmpty))
        guard case .queueDeleteOk(let count) = answer else { return 0 }
        return count
    }

    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        try ShortString.validate(name, "The name of the queue to purge")
        guard case .queuePurgeOk(let count) = try await request(.purgeQueue(name)) else { return 0 }
        return count
    }

    public func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        try ShortString.validate(name, "The name of the queue to look at")
        return try await status(.declareQueue(QueueDeclaration(name), passive: true))
    }

    public func exchangeExists(_ name: String) async throws(AMQPError) -> Bool {
        try ShortString.validate(name, "The name of the exchange to look at")
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
        try await begin(message, to: destination, mandatory: mandatory, deadline: deadline).outcome()
    }

    public func consume(
        queue: String,
        prefetch: UInt16,
        options: ConsumeOptions
    ) async throws(AMQPError) -> DeliveryStream {
        try await consume(queue: queue, prefetch: prefetch, options: options, timeout: nil)
    }

    public func get(queue: String) async throws(AMQPError) -> Delivery? { try await get(queue: queue, timeout: nil) }

    public var health: TransportHealth {
        var health = states.health
        health.lastReceived = connections.withLock { $0[.consuming] }?.receivedAt
        let heartbeat = configuration.urls[0].heartbeat
        if heartbeat > .zero { health.heartbeatTimeout = heartbeat * 2 }
        return health
    }

    public func close() async {
        let all = connections.withLock { $0.close() }
        await withDiscardingTaskGroup { group in
            for connection in all { group.addTask { await connection.close() } }
        }
        states.finish()
    }
}

extension RabbitMQClient: Service {
    /// Waits for graceful shutdown, or for cancellation, and then closes the client.
    ///
    /// A `ServiceGroup` shuts its services down in the reverse of their order: name the client before those that use
    /// it.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            // A stream without elements ends when its task is cancelled.
            for await _ in AsyncStream<Never>.makeStream().stream {}
        }
        await close()
    }
}

/// The results of messages that are published from one task, in the order of the messages.
public struct PublishResults<Messages: Sequence<Message>>: AsyncSequence {
    /// The result of one message.
    public typealias Element = Result<Void, AMQPError>
    /// A failure is an element: the sequence itself doesn't fail.
    public typealias Failure = Never

    let messages: Messages
    let window: Int
    let begin: (Message) -> Result<PendingPublish, AMQPError>

    /// Creates the iterator, which begins to publish.
    public func makeAsyncIterator() -> Iterator {
        Iterator(messages: messages.makeIterator(), window: window, begin: begin)
    }

    /// The iterator of ``PublishResults``.
    public struct Iterator: AsyncIteratorProtocol {
        var messages: Messages.Iterator
        let window: Int
        let begin: (Message) -> Result<PendingPublish, AMQPError>
        private var underWay: Deque<Result<PendingPublish, AMQPError>> = []

        init(
            messages: Messages.Iterator,
            window: Int,
            begin: @escaping (Message) -> Result<PendingPublish, AMQPError>
        ) {
            self.messages = messages
            self.window = window
            self.begin = begin
        }

        /// The result of the next message; `nil` after the last.
        public mutating func next() async -> Element? { await next(isolation: #isolation) }

        /// The result of the next message; `nil` after the last.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> Element? {
            while underWay.count < window, let message = messages.next() { underWay.append(begin(message)) }
            guard let oldest = underWay.popFirst() else { return nil }
            do throws(AMQPError) {
                try await oldest.get().outcome()
                return .success(())
            } catch {
                return .failure(error)
            }
        }
    }
}

extension BrokerReply {
    /// True if the broker closed the connection for an error, and not a channel.
    ///
    /// Source: <https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>, 1.2, the codes of connection exceptions.
    fileprivate var isConnectionFault: Bool {
        switch code {
        case 320, 402, 501...505, 530, 540, 541: true
        // RabbitMQ closes the connection for resource-error.
        case 506: true
        default: false
        }
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
            credentialsSource: credentials,
            tls: url.tls,
            heartbeat: url.heartbeat,
            connectTimeout: url.connectTimeout,
            leavesTLSToLibrary: leavesTLSToLibrary,
            failsSend: failsSend,
            name: "\(connectionName) (\(purpose.rawValue))"
        )
    }
}

extension Transport where Self == RabbitMQClient {
    /// A client of the broker at a URL.
    ///
    /// - Parameter url: The broker's URL, or those of a cluster's nodes, separated by commas.
    /// - Throws: `invalidURL`, with the fault.
    public static func rabbitMQ(_ url: String) throws(AMQPError) -> RabbitMQClient {
        try RabbitMQClient(url: url)
    }
}
