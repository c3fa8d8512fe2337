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

    private var isQuarantine: Bool { lane == .quarantine }

    /// Reads until the worker stops.
    func run() async {
        // The group's children: a task for each consumer that has ended and whose last jobs still need its channel.
        await withDiscardingTaskGroup { group in
            if isQuarantine { await queue.quarantineExists.wait(or: queue.consumers.stopping) }
            await read(&group)
        }
    }

    private func read(_ retired: inout DiscardingTaskGroup) async {
        let declaresTopology = queue.worker.settings.declaresTopology
        var backoff = Backoff(from: .milliseconds(200), to: .seconds(1))
        // For what lasts. Each attempt at an unavailable queue costs the broker a connection.
        var patientBackoff = Backoff(from: .seconds(1), to: .seconds(30))
        var mustDeclare = declaresTopology
        while !queue.consumers.isStopping {
            do throws(AMQPError) {
                if mustDeclare { try await declareIfAllowed() }
                mustDeclare = false
                try await consume(&retired) {
                    backoff.reset()
                    patientBackoff.reset()
                }
                return
            } catch {
                if queue.consumers.isStopping { return }
                // A missing queue can be declared, unless that is not this worker's business.
                let canBeDeclared = error.code == .notFound && declaresTopology
                let passesSoon = error.isRetriable && error.code != .unavailable || canBeDeclared
                let pause = passesSoon ? backoff.next() : patientBackoff.next()
                report(error, pause, isLasting: !error.isRetriable && !canBeDeclared)
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

    /// Declares the queue; if this user may not, it may exist all the same.
    private func declareIfAllowed() async throws(AMQPError) {
        do {
            try await declare()
        } catch {
            guard error.code == .accessRefused else { throw error }
            guard queue.throttle.leftOut("declaring \(name)") != nil else { return }
            queue.logger.error(
                "This user may not declare the queue with what belongs to it; it is consumed as it is",
                metadata: [LogKey.lane: "\(lane)", LogKey.reason: "\(error)"]
            )
        }
    }

    private func declare() async throws(AMQPError) {
        if isQuarantine {
            try await queue.declarer.declareQuarantine(of: queue.name)
        } else {
            try await queue.declarer.declare(queue.name)
        }
    }

    /// Consumes until the worker stops; if the queue has a circuit breaker, as it permits.
    private func consume(_ retired: inout DiscardingTaskGroup, _ onDelivery: () -> Void) async throws(AMQPError) {
        let prefetch = isQuarantine ? 1 : queue.prefetch
        repeat {
            var permit: QueueBreaker.Permit?
            if let breaker = queue.breaker {
                // An open breaker leaves the queue alone on purpose, which is not a health problem.
                queue.consumers.setPaused(true, queue: name)
                permit = await breaker.permit(unless: queue.consumers.stopping)
                queue.consumers.setPaused(false, queue: name)
                if permit == nil { return }
            }
            let lease = ConsumerLease(permit)
            let isProbe = permit?.isProbe ?? false
            let result = await consume(prefetch: isProbe ? 1 : prefetch, lease, onDelivery)
            // Even if the consumer is lost, its jobs may still run and need its channel: the broker may have cancelled
            // it for one of them, or because the queue was deleted.
            if lease.retired != nil { retired.addTask { await close(lease) } }
            try result.get()
        } while !queue.consumers.isStopping
    }

    /// Closes a consumer that has ended, once its last job is settled.
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
    /// The consumer is then retired, with its channel open.
    private func consume(
        prefetch: UInt16,
        _ lease: ConsumerLease,
        _ onDelivery: () -> Void
    ) async -> Result<Void, AMQPError> {
        do throws(AMQPError) {
            let stream: DeliveryStream
            if let replacement = monitor.takeReplacement() {
                stream = replacement
            } else {
                stream = try await open(prefetch: prefetch)
            }
            guard let id = queue.consumers.add(stream, of: name) else {
                await stream.cancel(requeuesUnsettled: true)
                return .success(())
            }
            queue.consumers.setProblem(nil, queue: name)
            monitor.watch(stream) { () throws(AMQPError) in try await open(prefetch: prefetch) }
            defer {
                monitor.stopWatching()
                lease.ended.open()
                // Deliveries waiting for a slot came from this consumer: if it was lost, running them would only run
                // them twice. At shutdown the session requeues them.
                if !queue.consumers.isStopping {
                    for item in queue.deliveries.removeAll(lane: index) { item.delivery.nack(requeue: true) }
                }
                lease.retire(id, stream)
            }
            if let breaker = queue.breaker, let permit = lease.permit, !breaker.began(stream, lane: index, permit) {
                await stream.cancel()
            }
            try await offerDeliveries(of: stream, lease, onDelivery)
            // At shutdown the channel is still needed to settle running jobs.
            if queue.consumers.isStopping { return .success(()) }
            let hasLostPermit =
                if let breaker = queue.breaker, let permit = lease.permit { !breaker.isValid(permit) } else { false }
            guard hasLostPermit || monitor.isStale else {
                throw AMQPError(.consumerCancelled, "The consumer of queue '\(name)' ended.")
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    private func open(prefetch: UInt16) async throws(AMQPError) -> DeliveryStream {
        try await queue.worker.transport.consume(
            queue: name,
            prefetch: prefetch,
            options: ConsumeOptions(isIsolated: queue.isolatesConsumers)
        )
    }

    /// Offers deliveries to the queue's slots until the stream ends.
    private func offerDeliveries(
        of stream: DeliveryStream,
        _ lease: ConsumerLease,
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

    /// Logs why the consumer was lost: once a minute for each kind of reason, since a queue may stay away for long.
    private func report(_ error: AMQPError, _ pause: Duration, isLasting: Bool) {
        queue.consumers.setProblem(error.message, queue: name)
        guard queue.throttle.leftOut("consumer \(name) \(error.code)") != nil else { return }
        queue.logger.log(
            level: isLasting ? .error : .warning,
            isLasting
                ? "The queue can't be consumed; trying again, and working on the others"
                : "Consumer lost; consuming again",
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
        /// Opens another consumer like this one.
        var open: (@Sendable () async throws(AMQPError) -> DeliveryStream)?
        var replacement: DeliveryStream?
        var isIdle = false
        var isStale = false
    }

    private let state = Mutex(State())

    /// True while a stale consumer is being ended: what it still delivers is to be requeued.
    var isStale: Bool { state.withLock { $0.isStale } }

    func watch(_ stream: DeliveryStream, open: @escaping @Sendable () async throws(AMQPError) -> DeliveryStream) {
        state.withLock { $0 = State(stream: stream, open: open) }
    }

    func stopWatching() { state.withLock { $0 = State(replacement: $0.replacement) } }

    func noteDelivery() { state.withLock { $0.isIdle = false } }

    /// The consumer that replaces the stale one, if there was one.
    func takeReplacement() -> DeliveryStream? { state.withLock { $0.replacement.take() } }

    /// Ends the consumer if it has delivered nothing since the last check, with another one in its place.
    ///
    /// That one is opened first, because the broker deletes an auto-delete queue with its last consumer.
    func check() async {
        let open: (@Sendable () async throws(AMQPError) -> DeliveryStream)? = state.withLock { state in
            guard state.isIdle, !state.isStale, state.stream != nil else {
                state.isIdle = true
                return nil
            }
            return state.open
        }
        // A queue that can't be consumed now is left to the consumer that it has.
        guard let open, let replacement = try? await open() else { return }
        let stale: DeliveryStream? = state.withLock { state in
            guard state.isIdle, state.stream != nil else { return nil }
            state.isStale = true
            state.replacement = replacement
            return state.stream
        }
        if let stale {
            await stale.cancel()
        } else {
            await replacement.cancel(requeuesUnsettled: true)
        }
    }

    /// Starts over, because a busy worker's consumer may well have nothing to deliver.
    func reset() { state.withLock { $0.isIdle = false } }
}
