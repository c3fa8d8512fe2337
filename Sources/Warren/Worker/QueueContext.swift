import AMQP
import Logging

/// The parts of one run of a worker that all its queues share.
struct RunContext: Sendable {
    let worker: Worker
    let registry: JobRegistry
    let declarer: TopologyDeclarer
    let consumers: Consumers
    let starts: StartLog
    let failure: WorkerFailure

    /// The most consumers that get a connection each.
    private static let mostIsolatedConsumers = 16

    /// True if each consumer gets a separate connection: if there are several, but not too many for the broker.
    var isolatesConsumers: Bool {
        let count = worker.queues.reduce(0) { $0 + worker.topology.configuration(of: $1.name).lanes.count }
        return (2...Self.mostIsolatedConsumers).contains(count)
    }
}

/// One queue in one run of a worker: its settings, and the parts that its readers, its slots and its running jobs
/// share.
final class QueueContext: Sendable {
    let name: QueueName
    /// The lanes from which its jobs come, the quarantine first: it never has more than one job here.
    let lanes: [Lane]
    /// The number of jobs that run at once.
    let concurrency: Int
    /// The number of unsettled deliveries of a lane that the broker may have outstanding with this worker.
    let prefetch: UInt16

    /// True if each consumer gets a separate connection, so that a queue that can't be consumed has no effect on the
    /// worker's other queues and lanes.
    let isolatesConsumers: Bool

    /// The worker, for its settings, transport, topology, clocks, middleware and counters.
    let worker: Worker
    let registry: JobRegistry
    let declarer: TopologyDeclarer
    let consumers: Consumers
    let starts: StartLog
    let failure: WorkerFailure
    /// The worker's logger, with the queue as metadata.
    let logger: Logger

    /// Deliveries waiting for a slot.
    let deliveries: LaneQueue<LaneDelivery>
    /// Deliveries waiting here for the rest of a second until they are due.
    let delayed: DelayedDeliveries
    /// The outcomes that can't be stored at present.
    let unstored = UnstoredOutcomes()
    /// Limits what is logged about jobs.
    let throttle = LogThrottle()
    /// Opens when the queue's quarantine is known to exist.
    let quarantineExists = Latch()
    /// Opens when no job may start any more.
    let closed = Latch()
    /// `nil` for a queue without a circuit breaker.
    let breaker: QueueBreaker?

    init(_ queue: WorkerQueue, in run: RunContext) {
        worker = run.worker
        registry = run.registry
        declarer = run.declarer
        consumers = run.consumers
        starts = run.starts
        failure = run.failure
        name = queue.name
        lanes = [.quarantine] + worker.topology.configuration(of: queue.name).lanes
        concurrency = queue.slots(default: worker.concurrency)
        prefetch = queue.prefetch(default: worker.concurrency)
        isolatesConsumers = run.isolatesConsumers
        var logger = worker.logger
        logger[metadataKey: LogKey.queue] = "\(queue.name)"
        self.logger = logger
        deliveries = LaneQueue(queue.lanes.scheduler(for: lanes))
        delayed = DelayedDeliveries(capacity: max(1, Int(prefetch) / 2))
        breaker = queue.circuitBreaker.map { [worker] in
            QueueBreaker($0, queue: queue.name, clock: worker.clock, counters: worker.counters, logger: worker.logger)
        }
    }
}

extension LanePolicy {
    fileprivate func scheduler<Element>(for lanes: [Lane]) -> LaneScheduler<Element> {
        switch kind {
        case .strict: LaneScheduler(strictLanes: lanes.count)
        case .weighted(let weights): LaneScheduler(weights: lanes.map { weights[$0] ?? 1 })
        }
    }
}
