import AMQP
import EmbeddedBroker
import Synchronization

/// An embedded broker that notes what it is asked to do, and fails where it is told to.
///
/// Whatever doesn't fail goes to ``embedded``, which a test looks at, and through which it prepares what is not to be noted.
final class FaultyBroker: Transport {
    /// What was asked for, also where it failed.
    struct Requests: Sendable {
        struct Publish: Sendable {
            var message: Message
            var destination: Destination
            var mandatory: Bool
            var deadline: ContinuousClock.Instant
        }

        struct Consume: Sendable, Hashable {
            var queue: String
            var prefetch: UInt16
        }

        var published: [Publish] = []
        var consumed: [Consume] = []
        /// The names of the exchanges and queues.
        var exchanges: [String] = []
        var queues: [String] = []
        /// Those that were made.
        var bindings: [Binding] = []
    }

    private struct State: Sendable {
        var requests = Requests()
        var faults = Faults()
    }

    private let state = Mutex(State())
    let embedded: EmbeddedBroker

    init(version: BrokerVersion = BrokerVersion(4, 0), clock: VirtualClock = VirtualClock()) {
        embedded = EmbeddedBroker(version: version, clock: clock)
    }

    var version: BrokerVersion { embedded.version }
    var requests: Requests { state.withLock(\.requests) }
    var published: [Requests.Publish] { requests.published }
    var faults: Faults { state.withLock(\.faults) }

    /// Changes what goes wrong from now on.
    func fail(_ change: (inout Faults) -> Void) { state.withLock { change(&$0.faults) } }

    /// Notes a request, and fails if it is to.
    private func note(
        _ errors: any WritableKeyPath<Faults, Faults.Errors> & Sendable,
        _ note: (inout Requests) -> Void
    ) throws(AMQPError) {
        let error = state.withLock { state in
            note(&state.requests)
            return state.faults[keyPath: errors].take()
        }
        if let error { throw error }
    }

    // MARK: What is noted, and may fail

    func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        try note(\.declaring) { $0.exchanges.append(exchange.name) }
        if faults.declaringHangs {
            // A stream that nothing feeds ends when the task is cancelled.
            for await _ in AsyncStream<Void>.makeStream().stream {}
            throw AMQPError(.cancelled, "The task was cancelled.")
        }
        // So that others come in between, as on a network.
        await Task.yield()
        try await embedded.declare(exchange)
    }

    func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try note(\.declaring) { $0.queues.append(queue.name) }
        if let forbidden = faults.forbiddenQueues, queue.name.contains(forbidden) {
            throw AMQPError(.accessRefused, "The queue '\(queue.name)' is forbidden.")
        }
        return try await embedded.declare(queue)
    }

    func bind(_ binding: Binding) async throws(AMQPError) {
        try await embedded.bind(binding)
        // Afterwards, for tests that wait for it.
        state.withLock { $0.requests.bindings.append(binding) }
    }

    func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        try note(\.publishing) {
            $0.published.append(
                .init(message: message, destination: destination, mandatory: mandatory, deadline: deadline)
            )
        }
        // Deadlines are the machine's time, which the outcome must not depend on: none passes here but by a fault.
        let never = ContinuousClock.now + .seconds(31_556_952)
        try await embedded.publish(message, to: destination, mandatory: mandatory, deadline: never)
    }

    func consume(queue: String, prefetch: UInt16, arguments: FieldTable) async throws(AMQPError) -> DeliveryStream {
        try note(\.consuming) { $0.consumed.append(.init(queue: queue, prefetch: prefetch)) }
        let stream = try await embedded.consume(queue: queue, prefetch: prefetch, arguments: arguments)
        return state.withLock { $0.faults.deafConsumer.take() }?.takePlace(of: stream) ?? stream
    }

    // MARK: What is the embedded broker's alone

    func broker() async throws(AMQPError) -> BrokerIdentity { try await embedded.broker() }
    func unbind(_ binding: Binding) async throws(AMQPError) { try await embedded.unbind(binding) }
    func deleteExchange(_ name: String) async throws(AMQPError) { try await embedded.deleteExchange(name) }
    func deleteQueue(_ name: String) async throws(AMQPError) -> Int { try await embedded.deleteQueue(name) }
    func purgeQueue(_ name: String) async throws(AMQPError) -> Int { try await embedded.purgeQueue(name) }
    func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        try await embedded.status(ofQueue: name)
    }
    func exchangeExists(_ name: String) async throws(AMQPError) -> Bool { try await embedded.exchangeExists(name) }
    func get(queue: String) async throws(AMQPError) -> Delivery? { try await embedded.get(queue: queue) }
    var health: TransportHealth { embedded.health }
    func close() async { await embedded.close() }
}
