public import AMQP
import Synchronization

/// A connection to an ``EmbeddedBroker``.
///
/// Its consumers, its unsettled deliveries and the queues that it has to itself end with it. Like a client over a network it may be used
/// again after ``close()``: it is a new connection then.
public final class EmbeddedConnection: Transport {
    private struct State: Sendable {
        var id: ConnectionID
        var isClosed = false
    }

    private let runtime: BrokerRuntime
    private let state: Mutex<State>
    /// The name under which the broker's operator sees it.
    public let name: String

    init(_ runtime: BrokerRuntime, name: String) {
        self.runtime = runtime
        self.name = name
        state = Mutex(State(id: runtime.newConnection()))
    }

    /// The connection's number; a closed one is made again.
    var id: ConnectionID {
        state.withLock { state in
            if state.isClosed {
                state = State(id: runtime.newConnection())
            }
            return state.id
        }
    }

    // MARK: Transport

    /// The embedded broker, with the version of RabbitMQ that it behaves as.
    public func broker() async throws(AMQPError) -> BrokerIdentity {
        BrokerIdentity(product: "EmbeddedBroker", version: runtime.version)
    }

    /// Declares an exchange.
    ///
    /// - Throws: `declarationMismatch` if it exists and is different.
    public func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        try exchange.validate()
        try await runtime.performPersisted("declare the exchange '\(exchange.name)'") { state throws(BrokerRefusal) in
            try state.machine.declare(exchange)
        }
    }

    /// Declares a queue.
    ///
    /// - Throws: `declarationMismatch` if it exists and is different.
    @discardableResult
    public func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try queue.validate()
        let id = id
        return try await runtime.performPersisted("declare the queue '\(queue.name)'") { state throws(BrokerRefusal) in
            try state.machine.declare(queue, by: id)
        }
    }

    /// Adds a binding.
    ///
    /// - Throws: `notFound` if an end of it doesn't exist.
    public func bind(_ binding: Binding) async throws(AMQPError) {
        try binding.validate()
        let id = id
        try await runtime.performPersisted("bind \(binding.target.summary) to the exchange '\(binding.source)'") {
            state throws(BrokerRefusal) in try state.machine.bind(binding, by: id)
        }
    }

    /// Removes a binding; one that doesn't exist is no error.
    public func unbind(_ binding: Binding) async throws(AMQPError) {
        try binding.validate()
        let id = id
        try await runtime.performPersisted("unbind \(binding.target.summary) from the exchange '\(binding.source)'") {
            state throws(BrokerRefusal) in try state.machine.unbind(binding, by: id)
        }
    }

    /// Deletes an exchange; one that doesn't exist is no error.
    public func deleteExchange(_ name: String) async throws(AMQPError) {
        try await runtime.performPersisted("delete the exchange '\(name)'") { state throws(BrokerRefusal) in
            try state.machine.deleteExchange(name)
        }
    }

    /// Deletes a queue with what is in it, and says how many messages that were.
    @discardableResult
    public func deleteQueue(_ name: String) async throws(AMQPError) -> Int {
        let id = id
        return try await runtime.performPersisted("delete the queue '\(name)'") { state throws(BrokerRefusal) in
            try state.machine.deleteQueue(name, by: id)
        }
    }

    /// Removes the ready messages of a queue, and says how many they were.
    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        let id = id
        return try await runtime.performPersisted("purge the queue '\(name)'") { state throws(BrokerRefusal) in
            try state.machine.purgeQueue(name, by: id)
        }
    }

    /// What is in a queue and who reads it.
    ///
    /// - Throws: `notFound` if it doesn't exist.
    public func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        let id = id
        return try runtime.performReportingRefusal("look at the queue '\(name)'") { state throws(BrokerRefusal) in
            try state.machine.status(ofQueue: name, by: id)
        }.value
    }

    /// Whether an exchange exists.
    public func exchangeExists(_ name: String) async throws(AMQPError) -> Bool {
        runtime.read { $0.exchanges[name] != nil }
    }

    /// Publishes a message and returns when the broker has it.
    ///
    /// While an alarm is on it waits until the deadline, which is one of the real time.
    ///
    /// - Throws: `unroutable`, `nacked`, `blocked`, `deadlineExceeded`, `notFound` (no such exchange), `messageTooLarge`,
    ///   `accessRefused` (an internal exchange), `cancelled`; with a journal also `notPersisted` and `confirmTimedOut`.
    public func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool = true,
        deadline: ContinuousClock.Instant = .now + .seconds(30)
    ) async throws(AMQPError) {
        try message.check(for: destination)
        try await waitForTurn(destination, deadline)
        let result: (value: BrokerMachine.PublishOutcome, number: UInt64?)
        do throws(BrokerRefusal) {
            result = try runtime.performJournaled { state throws(BrokerRefusal) in
                try state.machine.publish(message, to: destination, mandatory: mandatory)
            }
        } catch {
            throw .refusedPublish(of: message, to: destination, error.reply)
        }
        if let number = result.number { try await runtime.waitUntilPersisted(number, until: deadline) }
        switch result.value {
        case .kept: return
        case .unroutable: throw .unroutable(to: destination, reply: BrokerReply(code: 312, text: "NO_ROUTE"))
        case .nacked: throw .nacked(to: destination)
        }
    }

    /// Consumes a queue.
    ///
    /// Not more than `prefetch` deliveries are unsettled at a time; 0 is no limit.
    public func consume(
        queue: String,
        prefetch: UInt16,
        arguments: FieldTable = FieldTable()
    ) async throws(AMQPError) -> DeliveryStream {
        let id = id
        let runtime = runtime
        return try runtime.performReportingRefusal("consume the queue '\(queue)'") { state throws(BrokerRefusal) in
            let channel = try state.machine.consume(queue, prefetch: prefetch, arguments: arguments, by: id)
            let stream = DeliveryStream(
                control: DeliveryStream.Control(
                    cancel: { [weak runtime] in runtime?.perform { $0.machine.cancel(channel) } },
                    close: { [weak runtime] in runtime?.perform { $0.machine.close(channel) } }
                )
            )
            state.consumerPorts[channel] = BrokerRuntime.ConsumerPort(
                stream: stream,
                settler: EmbeddedSettler(runtime, channel)
            )
            return stream
        }.value
    }

    /// Takes one message from a queue, or `nil` if none is ready.
    ///
    /// - Throws: `notFound` if the queue doesn't exist; unsettled messages that were taken before go back then.
    public func get(queue: String) async throws(AMQPError) -> Delivery? {
        let id = id
        let runtime = runtime
        return try runtime.performReportingRefusal("get a message from the queue '\(queue)'") {
            state throws(BrokerRefusal) in
            guard let (channel, delivered) = try state.machine.get(queue, by: id) else { return nil }
            let settler = state.getSettlers[channel] ?? EmbeddedSettler(runtime, channel)
            state.getSettlers[channel] = settler
            return Delivery(delivered, settler, state.machine.features)
        }.value
    }

    /// Open, and blocked for publishing while an alarm is on; closed after ``close()``.
    public var health: TransportHealth {
        if state.withLock(\.isClosed) { return TransportHealth(publishing: .closed, consuming: .closed) }
        return TransportHealth(
            publishing: runtime.alarm.reason.map { .blocked(reason: $0) } ?? .open,
            consuming: .open
        )
    }

    /// Ends the connection: its streams end, what is unsettled goes back, and its exclusive queues go.
    public func close() async {
        let id = state.withLock { state -> ConnectionID? in
            if state.isClosed { return nil }
            state.isClosed = true
            return state.id
        }
        if let id { runtime.perform { $0.machine.end(id) } }
    }

    /// Loses the connection, as by a fault of the network, and makes it again at once.
    ///
    /// What was unsettled is delivered again, streams go on, and exclusive and auto-delete queues are there again, empty.
    public func lose() {
        let id = state.withLock { $0.isClosed ? nil : $0.id }
        if let id { runtime.perform { $0.machine.loseConnections(id) } }
    }

    // MARK: Inside

    private func waitForTurn(
        _ destination: Destination,
        _ deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        if let reason = runtime.alarm.reason, await !runtime.alarm.wait(until: deadline) {
            if Task.isCancelled { throw .publishCancelled(to: destination) }
            throw .publishBlocked(reason: reason)
        }
        if Task.isCancelled { throw .publishCancelled(to: destination) }
        if deadline <= .now {
            throw .publishDeadlinePassed(to: destination)
        }
    }
}

extension Message {
    /// Throws what a client refuses to send.
    fileprivate func check(for destination: Destination) throws(AMQPError) {
        guard body.count <= Self.maximumBodySize else {
            throw .bodyTooLarge(body.count, limit: Self.maximumBodySize, to: destination)
        }
        try destination.validate()
        try properties.validate()
    }
}
