import AMQP
import Logging
import Synchronization

/// Declares what a worker's queues need, and logs each difference from what exists once, as a warning.
final class TopologyDeclarer: Sendable {
    private let transport: any Transport
    private let topology: Topology
    private let queues: [QueueName]
    private let clock: any Clock<Duration>
    private let logger: Logger
    private let reported = Mutex<Set<TopologyDifference>>([])
    private let losses: AsyncStream<Void>
    private let loss: AsyncStream<Void>.Continuation
    /// Opens when the delay ladder is known to exist.
    let ladderIsReady = Latch()

    init(_ worker: Worker) {
        transport = worker.transport
        topology = worker.topology
        queues = worker.queues.map(\.name)
        clock = worker.clock
        logger = worker.logger
        (losses, loss) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Declares a queue with everything that belongs to it.
    ///
    /// It is bound to the delay ladder only once the ladder exists.
    func declare(_ queue: QueueName) async throws(AMQPError) {
        try await declare([queue], delays: ladderIsReady.isOpen)
    }

    /// Declares the delay ladder and binds all queues to it, and again after each ``consumerWasLost()``.
    ///
    /// It runs beside the consumers, so that no job waits for it.
    func keepDeclared(until stopping: Latch) async throws(AMQPError) {
        try await declareAll(until: stopping)
        for await _ in losses { try await declareAll(until: stopping) }
    }

    /// Asks for another declaration: a queue that lost its consumer may have been deleted, and declared by an
    /// application that needs less of it than a worker does.
    func consumerWasLost() { loss.yield() }

    /// Lets ``keepDeclared(until:)`` return.
    func stop() { loss.finish() }

    private func declareAll(until stopping: Latch) async throws(AMQPError) {
        // However this ends, nothing may wait for the ladder endlessly.
        defer { ladderIsReady.open() }
        var backoff = Backoff(from: .milliseconds(200), to: .seconds(5))
        while !stopping.isOpen {
            do throws(AMQPError) {
                return try await declare(queues, delays: true)
            } catch {
                // Shutdown may cancel the declaration, and needs no ladder.
                if error.code == .cancelled, stopping.isOpen { return }
                // A part that was just declared may be gone: a cluster that loses a node reverts what it had half
                // declared.
                guard error.isRetriable || error.code == .notFound else { throw error }
                logger.warning(
                    "Queues and delay ladder not declared yet; trying again",
                    metadata: [LogKey.reason: "\(error)"]
                )
            }
            if await stopping.wait(for: backoff.next(), clock: clock) { return }
        }
    }

    private func declare(_ queues: [QueueName], delays: Bool) async throws(AMQPError) {
        let version = try await transport.broker().version
        let report = try await topology.plan(for: queues, delays: delays, broker: version).apply(to: transport)
        for difference in report.differences where reported.withLock({ $0.insert(difference).inserted }) {
            logger.warning(
                "Existing declaration differs from the topology",
                metadata: [LogKey.difference: "\(difference)"]
            )
        }
    }
}
