import AMQP
import Logging
import Synchronization

/// Consumes one priority lane of a queue: offers its deliveries to the queue's slots, and consumes again whenever the
/// consumer is lost.
struct LaneReader: Sendable {
    private let queue: QueueContext
    private let lane: Lane
    /// The lane's position in ``QueueContext/lanes``.
    private let index: Int
    private let monitor: StaleConsumerMonitor

    init(_ queue: QueueContext, lane index: Int, monitor: StaleConsumerMonitor) {
        self.queue = queue
        self.index = index
        self.monitor = monitor
        lane = queue.lanes[index]
    }

    /// The lane's queue at the broker.
    private var name: String { lane.queue(of: queue.name) }

    /// Reads until the worker stops.
    ///
    /// - Throws: An error that consuming again can't overcome.
    func run() async throws(AMQPError) {
        // The group's children: a task for each consumer that the circuit breaker ended and whose last jobs still need
        // its channel.
        let result = await withDiscardingTaskGroup { group -> Result<Void, AMQPError> in
            do throws(AMQPError) {
                return .success(try await read(&group))
            } catch {
                group.cancelAll()
                return .failure(error)
            }
        }
        try result.get()
    }

    private func read(_ retired: inout DiscardingTaskGroup) async throws(AMQPError) {
        let declaresTopology = queue.worker.settings.declaresTopology
        var backoff = Backoff(from: .milliseconds(200), to: .seconds(1))
        // Each attempt costs the broker a connection, so an unavailable queue is tried less and less often.
        var patientBackoff = Backoff(from: .seconds(1), to: .seconds(30))
        var mustDeclare = declaresTopology
        while !queue.consumers.isStopping {
            do throws(AMQPError) {
                if mustDeclare { try await queue.declarer.declare(queue.name) }
                mustDeclare = false
                try await consume(&retired) {
                    backoff.reset()
                    patientBackoff.reset()
                }
                return
            } catch {
                // Deliveries waiting for a slot came from the lost consumer: running them would only run them twice.
                for item in queue.deliveries.removeAll(lane: index) { item.delivery.nack(requeue: true) }
                if queue.consumers.isStopping { return }
                // A missing queue can be declared, unless that is not this worker's business.
                guard error.isRetriable || (error.code == .notFound && declaresTopology) else { throw error }
                let pause = error.code == .unavailable ? patientBackoff.next() : backoff.next()
                warn(error, pause)
                queue.worker.counters.consumersLost.add(1, ordering: .relaxed)
                if await queue.consumers.stopping.wait(for: pause, clock: queue.worker.clock) { return }
                // Consuming waits for declarations only if it must, because a cluster that has lost a node answers them
                // late. They come after the pause, because brokers misbehave if a queue is declared again at once
                // (`BrokerFeatures.mayKeepDeadConsumers`).
                if error.code == .notFound {
                    mustDeclare = declaresTopology
                } else {
                    queue.declarer.consumerWasLost()
                }
            }
        }
    }

    /// Consumes until the worker stops; if the queue has a circuit breaker, as it permits.
    private func consume(_ retired: inout DiscardingTaskGroup, _ onDelivery: () -> Void) async throws(AMQPError) {
        guard let breaker = queue.breaker else {
            repeat {
                try await consume(prefetch: queue.prefetch, nil, onDelivery)
            } while !queue.consumers.isStopping
            return
        }
        while true {
            // An open breaker leaves the queue alone on purpose, which is not a health problem.
            queue.consumers.setPaused(true, queue: name)
            let permit = await breaker.permit(unless: queue.consumers.stopping)
            queue.consumers.setPaused(false, queue: name)
            guard let permit else { return }
            let lease = ConsumerLease(permit)
            try await consume(prefetch: permit.isProbe ? 1 : queue.prefetch, lease, onDelivery)
            retired.addTask { await close(lease) }
        }
    }

    /// Closes a consumer that the circuit breaker ended, once its last job is settled.
    ///
    /// At shutdown the session closes it.
    private func close(_ lease: ConsumerLease) async {
        await lease.finished.wait(or: queue.consumers.stopping)
        guard lease.finished.isOpen, !queue.consumers.isStopping, let (id, stream) = lease.retired else { return }
        queue.consumers.remove(id)
        await stream.cancel(requeuesUnsettled: true)
    }

    /// Consumes until the worker stops, the circuit breaker's permit ends, or the consumer turns out to be stale.
    ///
    /// A consumer whose permit ended is retired with its channel open.
    private func consume(
        prefetch: UInt16,
        _ lease: ConsumerLease?,
        _ onDelivery: () -> Void
    ) async throws(AMQPError) {
        let stream = try await queue.worker.transport.consume(queue: name, prefetch: prefetch, arguments: [:])
        guard let id = queue.consumers.add(stream, of: name) else {
            return await stream.cancel(requeuesUnsettled: true)
        }
        monitor.watch(stream)
        defer {
            monitor.stopWatching()
            lease?.ended.open()
        }
        do throws(AMQPError) {
            if let breaker = queue.breaker, let lease, !breaker.began(stream, lane: index, lease.permit) {
                await stream.cancel()
            }
            try await offerDeliveries(of: stream, lease, onDelivery)
            // At shutdown the channel is still needed to settle running jobs.
            if queue.consumers.isStopping { return }
            let hasLostPermit =
                if let breaker = queue.breaker, let lease { !breaker.isValid(lease.permit) } else { false }
            guard hasLostPermit || monitor.isStale else {
                throw AMQPError(.consumerCancelled, "The consumer of queue '\(name)' ended.")
            }
            for item in queue.deliveries.removeAll(lane: index) { item.delivery.nack(requeue: true) }
            if let lease { return lease.retire(id, stream) }
            queue.consumers.remove(id)
            await stream.cancel(requeuesUnsettled: true)
        } catch {
            queue.consumers.remove(id)
            await stream.cancel(requeuesUnsettled: true)
            throw error
        }
    }

    /// Offers deliveries to the queue's slots until the stream ends.
    private func offerDeliveries(
        of stream: DeliveryStream,
        _ lease: ConsumerLease?,
        _ onDelivery: () -> Void
    ) async throws(AMQPError) {
        while true {
            let batch = try await stream.nextBatch()
            if batch.isEmpty { return }
            onDelivery()
            monitor.noteDelivery()
            if monitor.isStale {
                for delivery in batch { delivery.nack(requeue: true) }
                continue
            }
            let items = batch.map { LaneDelivery(delivery: $0, lane: lane, lease: lease) }
            for item in queue.deliveries.offer(items, lane: index) { item.delivery.nack(requeue: true) }
        }
    }

    private func warn(_ error: AMQPError, _ pause: Duration) {
        queue.logger.warning(
            "Consumer lost; consuming again",
            metadata: [LogKey.lane: "\(lane)", LogKey.reason: "\(error)", LogKey.delay: "\(pause)"]
        )
    }
}

/// Ends the consumer of a lane that has delivered nothing for a while, so that its reader replaces it.
///
/// Some brokers keep a dead consumer without reporting it: see ``BrokerFeatures/mayKeepDeadConsumers``.
final class StaleConsumerMonitor: Sendable {
    /// The time between two checks: a consumer without deliveries over one whole interval, in an idle worker, is stale.
    static let interval = Duration.seconds(30)

    private struct State: Sendable {
        var stream: DeliveryStream?
        var isIdle = false
        var isStale = false
    }

    private let state = Mutex(State())

    /// True while a stale consumer is being ended: what it still delivers is to be requeued.
    var isStale: Bool { state.withLock { $0.isStale } }

    func watch(_ stream: DeliveryStream) { state.withLock { $0 = State(stream: stream) } }

    func stopWatching() { state.withLock { $0 = State() } }

    func noteDelivery() { state.withLock { $0.isIdle = false } }

    /// Ends the consumer if it has delivered nothing since the last check.
    func check() async {
        let stale: DeliveryStream? = state.withLock { state in
            guard state.isIdle, !state.isStale, state.stream != nil else {
                state.isIdle = true
                return nil
            }
            state.isStale = true
            return state.stream
        }
        await stale?.cancel()
    }

    /// Starts over, because a busy worker's consumer may well have nothing to deliver.
    func reset() { state.withLock { $0.isIdle = false } }
}
