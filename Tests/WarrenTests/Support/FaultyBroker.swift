import AMQP
import EmbeddedBroker
import Synchronization

/// An embedded broker that records requests and fails as its ``Faults`` say.
///
/// Requests that don't fail go to ``embedded``, which tests inspect, and use for requests that aren't to be recorded.
final class FaultyBroker: Transport {
    /// The requests, including those that failed.
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
            var isIsolated: Bool
        }

        var published: [Publish] = []
        var consumed: [Consume] = []
        /// The names of the exchanges and queues.
        var exchanges: [String] = []
        var queues: [String] = []
        /// The bindings that were made.
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

    /// Changes the faults.
    func fail(_ change: (inout Faults) -> Void) { state.withLock { change(&$0.faults) } }

    /// Records a request, and throws its fault if there is one.
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

    // MARK: Requests that are recorded and may fail

    func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        try note(\.declaring) { $0.exchanges.append(exchange.name) }
        if faults.declaringHangs {
            // A stream without elements ends when the task is cancelled.
            for await _ in AsyncStream<Void>.makeStream().stream {}
            throw AMQPError(.cancelled, "The task was cancelled.")
        }
        // Lets other tasks run in between, as on a network.
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
        // Recorded afterwards, for tests that wait for it.
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

    func consume(queue: String, prefetch: UInt16, options: ConsumeOptions) async throws(AMQPError) -> DeliveryStream {
        try note(\.consuming) {
            $0.consumed.append(.init(queue: queue, prefetch: prefetch, isIsolated: options.isIsolated))
        }
        let stream = try await embedded.consume(queue: queue, prefetch: prefetch, options: options)
        return state.withLock { $0.faults.deafConsumer.take() }?.takePlace(of: stream) ?? stream
    }

    // MARK: Requests that only the embedded broker sees

    func broker() async throws(AMQPError) -> BrokerIdentity { try await embedded.broker() }
    func unbind(_ binding: Binding) async throws(AMQPError) { try await embedded.unbind(binding) }
    func deleteExchange(_ name: String, ifUnused: Bool) async throws(AMQPError) {
        try await embedded.deleteExchange(name, ifUnused: ifUnused)
    }
    func deleteQueue(_ name: String, ifUnused: Bool, ifEmpty: Bool) async throws(AMQPError) -> Int {
        try await embedded.deleteQueue(name, ifUnused: ifUnused, ifEmpty: ifEmpty)
    }
    func purgeQueue(_ name: String) async throws(AMQPError) -> Int { try await embedded.purgeQueue(name) }
    func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        try await embedded.status(ofQueue: name)
    }
    func exchangeExists(_ name: String) async throws(AMQPError) -> Bool { try await embedded.exchangeExists(name) }
    func get(queue: String) async throws(AMQPError) -> Delivery? { try await embedded.get(queue: queue) }
    var health: TransportHealth { embedded.health }
    func close() async { await embedded.close() }
}

/// The faults of a ``FaultyBroker``.
struct Faults: Sendable {
    /// The errors of one kind of request.
    struct Errors: Sendable {
        /// The errors of the next requests, one each.
        var next: [AMQPError] = []
        /// The error of every later request; `nil` for none.
        var always: AMQPError?

        mutating func take() -> AMQPError? { next.isEmpty ? always : next.removeFirst() }
    }

    var publishing = Errors()
    var consuming = Errors()
    /// For exchanges and queues.
    var declaring = Errors()
    /// A part of the names of queues that may not be declared.
    var forbiddenQueues: String?
    /// Whether declaring an exchange hangs until the task is cancelled, as on a connection that the broker blocks.
    var declaringHangs = false
    /// The consumer that replaces the next one.
    var deafConsumer: DeafConsumer?
}

/// A consumer that is registered at its broker and gets deliveries that never arrive: see
/// ``BrokerFeatures/mayKeepDeadConsumers``.
final class DeafConsumer: Sendable {
    private let streams = Mutex<(broker: DeliveryStream, reader: DeliveryStream.Source)?>(nil)

    /// Replaces a broker's stream, and returns the stream for its reader.
    func takePlace(of stream: DeliveryStream) -> DeliveryStream {
        let reader = DeliveryStream(
            control: DeliveryStream.Control(
                cancel: { requeuesUnsettled in
                    await stream.cancel(requeuesUnsettled: requeuesUnsettled)
                    self.streams.withLock(\.self)?.reader.finish()
                    if requeuesUnsettled { self.streams.withLock { $0 = nil } }
                }
            )
        )
        streams.withLock { $0 = (stream, reader.source) }
        return reader
    }

    /// Lets the deliveries so far arrive after all.
    func hear() async throws(AMQPError) {
        guard let (broker, reader) = streams.withLock(\.self) else { return }
        reader.yield(try await broker.nextBatch())
    }
}
