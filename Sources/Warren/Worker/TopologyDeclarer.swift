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
    /// The broker's queues that dead-letter as planned.
    private let deadLettering = Mutex<Set<String>>([])
    private let throttle = LogThrottle()
    private let losses: AsyncStream<Void>
    private let loss: AsyncStream<Void>.Continuation
    private let ladderExists = Atomic(false)
    /// Opens when the delay ladder exists, or this worker can do nothing more about it.
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
        try await declare(queue, delays: ladderExists.load(ordering: .relaxed))
    }

    /// Declares the delay ladder and binds all queues to it, and again after each ``consumerWasLost()``.
    ///
    /// It runs beside the consumers, so that no job waits for it.
    func keepDeclared(until stopping: Latch) async {
        await declareAll(until: stopping)
        for await _ in losses { await declareAll(until: stopping) }
    }

    /// Declares the quarantine of a queue, at first need.
    func declareQuarantine(of queue: QueueName) async throws(AMQPError) {
        do {
            try await transport.declare(topology.quarantineDeclaration(of: queue))
        } catch {
            // Another version of Warren declared it: that queue serves as well.
            guard error.code == .declarationMismatch else { throw error }
        }
    }

    /// True if one of the broker's queues was found, or made, with the dead-letter exchange of the topology, to which
    /// the dead queue is bound: so what is rejected there is kept.
    func deadLetters(_ queue: String) -> Bool { deadLettering.withLock { $0.contains(queue) } }

    /// Asks for another declaration: a queue that lost its consumer may have been deleted, and declared by an
    /// application that needs less of it than a worker does.
    func consumerWasLost() { loss.yield() }

    /// Lets ``keepDeclared(until:)`` return.
    func stop() { loss.finish() }

    private func declareAll(until stopping: Latch) async {
        // However this ends, nothing may wait for the ladder endlessly.
        defer { ladderIsReady.open() }
        var backoff = Backoff(from: .milliseconds(200), to: .seconds(5))
        var patientBackoff = Backoff(from: .seconds(1), to: .seconds(60))
        var missing = queues
        var isLadderMissing = true
        while !stopping.isOpen {
            var failure: AMQPError?
            do throws(AMQPError) {
                if isLadderMissing { try await apply(DelayLadder.plan) }
                isLadderMissing = false
                ladderExists.store(true, ordering: .relaxed)
            } catch {
                failure = error
            }
            // A queue that can't be declared doesn't keep the others from it.
            var stillMissing: [QueueName] = []
            for queue in missing where !isLadderMissing {
                do throws(AMQPError) {
                    try await declare(queue, delays: true)
                } catch {
                    failure = error
                    stillMissing.append(queue)
                    if error.isRetriable || error.code == .cancelled { break }
                }
            }
            // Shutdown may cancel the declaration, and needs no ladder.
            guard let failure, !(failure.code == .cancelled && stopping.isOpen) else { return }
            if !isLadderMissing, !failure.isRetriable { missing = stillMissing }
            // A part that was just declared may be gone: a cluster that loses a node reverts what it had half declared.
            let mayPass = failure.isRetriable || failure.code == .notFound
            if !mayPass { ladderIsReady.open() }
            log(failure, mayPass: mayPass)
            let pause = mayPass ? backoff.next() : patientBackoff.next()
            if await stopping.wait(for: pause, clock: clock) { return }
        }
    }

    private func log(_ failure: AMQPError, mayPass: Bool) {
        guard throttle.leftOut("\(failure.code)") != nil else { return }
        logger.log(
            level: mayPass ? .warning : .error,
            "Queues and delay ladder not declared yet; trying again",
            metadata: [LogKey.reason: "\(failure)"]
        )
    }

    private func declare(_ queue: QueueName, delays: Bool) async throws(AMQPError) {
        let plan = topology.plan(for: [queue], delays: delays, broker: try await transport.broker().version)
        let report = try await apply(plan.without(DelayLadder.plan))
        noteDeadLettering(of: queue, report)
    }

    @discardableResult
    private func apply(_ plan: TopologyPlan) async throws(AMQPError) -> TopologyReport {
        let report = try await plan.apply(to: transport)
        for difference in report.differences where reported.withLock({ $0.insert(difference).inserted }) {
            logger.warning(
                "Existing declaration differs from the topology",
                metadata: [LogKey.difference: "\(difference)"]
            )
        }
        return report
    }

    private func noteDeadLettering(of queue: QueueName, _ report: TopologyReport) {
        let others = Set(
            report.differences.filter { difference in
                difference.name == topology.deadExchange
                    || difference.argument.map { $0.hasPrefix("x-dead-letter-") } ?? true
            }.map(\.name)
        )
        deadLettering.withLock { known in
            for lane in topology.configuration(of: queue).lanes.map({ $0.queue(of: queue) }) {
                if others.contains(lane) || others.contains(topology.deadExchange) {
                    known.remove(lane)
                } else {
                    known.insert(lane)
                }
            }
        }
    }
}
