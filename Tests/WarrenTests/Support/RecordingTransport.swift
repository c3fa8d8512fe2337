import AMQP
import Synchronization

/// A broker that notes what it is asked to do, and fails where it is told to.
final class RecordingTransport: Transport {
    struct Published: Sendable {
        var message: Message
        var destination: Destination
        var mandatory: Bool
        var deadline: ContinuousClock.Instant
    }

    private struct State {
        var exchanges: [String] = []
        var queues: [String] = []
        var bindings: [Binding] = []
        var published: [Published] = []
        var publishErrors: [AMQPError] = []
        var declareError: AMQPError?
    }

    private let state = Mutex(State())
    /// Whether declaring hangs until the task is cancelled, as on a connection that the broker blocks.
    let hangs: Bool

    init(hangs: Bool = false) { self.hangs = hangs }

    var exchanges: [String] { state.withLock { $0.exchanges } }
    var queues: [String] { state.withLock { $0.queues } }
    var bindings: [Binding] { state.withLock { $0.bindings } }
    var published: [Published] { state.withLock { $0.published } }

    /// Fails the next publishes, one error each.
    func failPublishing(with errors: AMQPError...) { state.withLock { $0.publishErrors += errors } }
    /// Fails every declaration from now on; `nil` to stop.
    func failDeclaring(with error: AMQPError?) { state.withLock { $0.declareError = error } }

    func broker() async throws(AMQPError) -> BrokerIdentity {
        BrokerIdentity(product: "RabbitMQ", version: BrokerVersion(4, 0, 0))
    }

    func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        if hangs {
            // A stream that nothing feeds ends when the task is cancelled.
            for await _ in AsyncStream<Void>.makeStream().stream {}
            throw AMQPError(.cancelled, "The task was cancelled.")
        }
        await Task.yield()
        try note { $0.exchanges.append(exchange.name) }
    }

    func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try note { $0.queues.append(queue.name) }
        return QueueStatus(name: queue.name, messageCount: 0, consumerCount: 0)
    }

    func bind(_ binding: Binding) async throws(AMQPError) { try note { $0.bindings.append(binding) } }

    private func note(_ change: (inout State) -> Void) throws(AMQPError) {
        let error = state.withLock { state in
            if state.declareError == nil { change(&state) }
            return state.declareError
        }
        if let error { throw error }
    }

    func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        let error = state.withLock { state in
            state.published.append(
                Published(message: message, destination: destination, mandatory: mandatory, deadline: deadline)
            )
            return state.publishErrors.isEmpty ? nil : state.publishErrors.removeFirst()
        }
        if let error { throw error }
    }

    func unbind(_ binding: Binding) async throws(AMQPError) {}
    func deleteExchange(_ name: String) async throws(AMQPError) {}
    func deleteQueue(_ name: String) async throws(AMQPError) -> Int { 0 }
    func purgeQueue(_ name: String) async throws(AMQPError) -> Int { 0 }
    func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus { throw AMQPError(.notFound, name) }
    func exchangeExists(_ name: String) async throws(AMQPError) -> Bool { false }
    func consume(queue: String, prefetch: UInt16, arguments: FieldTable) async throws(AMQPError) -> DeliveryStream {
        throw AMQPError(.notFound, queue)
    }
    func get(queue: String) async throws(AMQPError) -> Delivery? { nil }
    func close() async {}
}
