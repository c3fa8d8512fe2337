public import AMQP
import Synchronization

/// A connection to an ``EmbeddedBroker``.
///
/// Its consumers, unsettled deliveries and exclusive queues end with it. As with a client of a remote broker, every
/// call after ``close()`` throws `closed`.
public final class EmbeddedConnection: Transport {
    private struct State: Sendable {
        var id: ConnectionID
        var isClosed = false
    }

    private let runtime: BrokerRuntime
    private let state: Mutex<State>
    /// The connection's name, as an operator sees it.
    public let name: String

    init(_ runtime: BrokerRuntime, name: String) {
        self.runtime = runtime
        self.name = name
        state = Mutex(State(id: runtime.newConnection()))
    }

    /// The connection's id.
    ///
    /// - Throws: `closed` after ``close()``.
    private var id: ConnectionID {
        get throws(AMQPError) {
            try state.withLock { state throws(AMQPError) in
                if state.isClosed { throw .closedByProgram }
                return state.id
            }
        }
    }

    /// Publishes a message and returns when the broker has it.
    ///
    /// While an alarm is on, the publish waits until its deadline.
    ///
    /// - Parameter message: The message.
    /// - Parameter destination: The exchange and routing key.
    /// - Parameter mandatory: Whether a message that reaches no queue is an error (`unroutable`).
    /// - Parameter deadline: The time at which to give up, which is real time even if the broker's clock is virtual.
    /// - Throws: `unroutable`, `nacked`, `blocked`, `deadlineExceeded`, `notFound` (no such exchange),
    ///   `messageTooLarge`, `accessRefused` (an internal exchange), `cancelled`; a broker with a file also
    ///   `notPersisted` and `confirmTimedOut`.
    public func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool = true,
        deadline: ContinuousClock.Instant = .now + .seconds(30)
    ) async throws(AMQPError) {
        _ = try id
        try message.check(for: destination)
        try await waitForGate(destination, deadline)
        let result: (value: BrokerMachine.PublishOutcome, changes: UInt64?)
        do throws(BrokerRefusal) {
            result = try runtime.performJournaled { state throws(BrokerRefusal) in
                try state.machine.publish(message, to: destination, mandatory: mandatory)
            }
        } catch {
            throw .refusedPublish(of: message, to: destination, error.reply)
        }
        if let changes = result.changes { try await runtime.waitUntilPersisted(changes, until: deadline) }
        switch result.value {
        case .accepted: return
        case .unroutable: throw .unroutable(to: destination, reply: BrokerReply(code: 312, text: "NO_ROUTE"))
        case .nacked: throw .nacked(to: destination)
        }
    }

    private func waitForGate(
        _ destination: Destination,
        _ deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        if let reason = runtime.publishGate.reason, await !runtime.publishGate.wait(until: deadline) {
            if Task.isCancelled { throw .publishCancelled(to: destination) }
            throw .publishBlocked(reason: reason)
        }
        if Task.isCancelled { throw .publishCancelled(to: destination) }
        if deadline <= .now {
            throw .publishDeadlinePassed(to: destination)
        }
    }

    /// Takes one message from a queue, or returns `nil` if none is ready; settle it as any delivery.
    ///
    /// - Parameter queue: The queue's name.
    /// - Throws: `notFound` if the queue doesn't exist; unsettled messages of earlier gets are requeued then.
    public func get(queue: String) async throws(AMQPError) -> Delivery? {
        let id = try id
        let runtime = runtime
        return try runtime.performReportingRefusal("get a message from the queue '\(queue)'") {
            state throws(BrokerRefusal) in
            guard let (channel, delivered) = try state.machine.get(queue, by: id) else { return nil }
            let settler = state.getSettlers[channel] ?? EmbeddedSettler(runtime, channel)
            state.getSettlers[channel] = settler
            return Delivery(delivered, settler, state.machine.features)
        }.value
    }

    /// The state of both directions: open, blocked for publishing while an alarm is on, and closed after ``close()``.
    public var health: TransportHealth {
        if state.withLock(\.isClosed) { return TransportHealth(publishing: .closed, consuming: .closed) }
        return TransportHealth(
            publishing: runtime.publishGate.reason.map { .blocked(reason: $0) } ?? .open,
            consuming: .open
        )
    }

    /// Closes the connection: its streams end, its unsettled messages are requeued, and its exclusive queues are
    /// deleted.
    public func close() async {
        let id = state.withLock { state -> ConnectionID? in
            if state.isClosed { return nil }
            state.isClosed = true
            return state.id
        }
        if let id { runtime.perform { $0.machine.end(id) } }
    }

    /// Loses the connection, as by a network failure, and reconnects at once.
    ///
    /// Unsettled messages are delivered again, delivery streams go on, and exclusive and auto-delete queues exist
    /// again, empty.
    public func lose() {
        let id = state.withLock { $0.isClosed ? nil : $0.id }
        if let id { runtime.perform { $0.machine.loseConnections(id) } }
    }
}

// Documented by `Transport`.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension EmbeddedConnection {
    public func broker() async throws(AMQPError) -> BrokerIdentity {
        _ = try id
        return BrokerIdentity(product: "EmbeddedBroker", version: runtime.version)
    }

    public func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        _ = try id
        try exchange.validate()
        try await runtime.performPersisted("declare the exchange '\(exchange.name)'") { state throws(BrokerRefusal) in
            try state.machine.declare(exchange)
        }
    }

    @discardableResult
    public func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try queue.validate()
        let id = try id
        return try await runtime.performPersisted("declare the queue '\(queue.name)'") { state throws(BrokerRefusal) in
            try state.machine.declare(queue, by: id)
        }
    }

    public func bind(_ binding: Binding) async throws(AMQPError) {
        try binding.validate()
        let id = try id
        try await runtime.performPersisted("bind \(binding.target.summary) to the exchange '\(binding.source)'") {
            state throws(BrokerRefusal) in try state.machine.bind(binding, by: id)
        }
    }

    public func unbind(_ binding: Binding) async throws(AMQPError) {
        try binding.validate()
        let id = try id
        try await runtime.performPersisted("unbind \(binding.target.summary) from the exchange '\(binding.source)'") {
            state throws(BrokerRefusal) in try state.machine.unbind(binding, by: id)
        }
    }

    public func deleteExchange(_ name: String, ifUnused: Bool) async throws(AMQPError) {
        _ = try id
        try await runtime.performPersisted("delete the exchange '\(name)'") { state throws(BrokerRefusal) in
            try state.machine.deleteExchange(name, ifUnused: ifUnused)
        }
    }

    @discardableResult
    public func deleteQueue(_ name: String, ifUnused: Bool, ifEmpty: Bool) async throws(AMQPError) -> Int {
        let id = try id
        return try await runtime.performPersisted("delete the queue '\(name)'") { state throws(BrokerRefusal) in
            try state.machine.deleteQueue(name, ifUnused: ifUnused, ifEmpty: ifEmpty, by: id)
        }
    }

    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        let id = try id
        return try await runtime.performPersisted("purge the queue '\(name)'") { state throws(BrokerRefusal) in
            try state.machine.purgeQueue(name, by: id)
        }
    }

    public func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        let id = try id
        return try runtime.performReportingRefusal("look at the queue '\(name)'") { state throws(BrokerRefusal) in
            try state.machine.status(ofQueue: name, by: id)
        }.value
    }

    public func exchangeExists(_ name: String) async throws(AMQPError) -> Bool {
        _ = try id
        return runtime.read { $0.exchanges[name] != nil }
    }

    public func consume(
        queue: String,
        prefetch: UInt16,
        options: ConsumeOptions
    ) async throws(AMQPError) -> DeliveryStream {
        try options.validate(for: queue)
        let id = try id
        let runtime = runtime
        return try runtime.performReportingRefusal("consume the queue '\(queue)'") { state throws(BrokerRefusal) in
            let channel = try state.machine.consume(queue, prefetch: prefetch, options, by: id)
            let stream = DeliveryStream(
                control: DeliveryStream.Control(
                    cancel: { [weak runtime] requeuesUnsettled in
                        runtime?.perform { state in
                            if requeuesUnsettled { state.machine.close(channel) } else { state.machine.cancel(channel) }
                        }
                    },
                    abandon: { [weak runtime] in runtime?.perform { $0.machine.cancel(channel) } }
                )
            )
            state.consumerPorts[channel] = BrokerRuntime.ConsumerPort(
                source: stream.source,
                settler: EmbeddedSettler(runtime, channel)
            )
            return stream
        }.value
    }
}

extension Message {
    /// Throws an error for a message that a client may not send.
    fileprivate func check(for destination: Destination) throws(AMQPError) {
        guard body.count <= Self.maximumBodySize else {
            throw .bodyTooLarge(body.count, limit: Self.maximumBodySize, to: destination)
        }
        try destination.validate()
        try properties.validate()
    }
}
