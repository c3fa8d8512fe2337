import AMQP
import Logging
import Synchronization

/// Feeds one lane's deliveries to its queue's slots, and consumes anew whenever the consumer is lost.
struct LaneReader: Sendable {
    let queue: QueueName
    let lane: Lane
    /// The lane's number in ``deliveries``.
    let index: Int
    let prefetch: UInt16
    let transport: any Transport
    let deliveries: LaneQueue<LaneDelivery>
    let consumers: Consumers
    let breaker: QueueBreaker?
    let renewal: StaleConsumerMonitor
    let counters: WorkerCounters
    let declaresTopology: Bool
    let declarer: TopologyDeclarer
    let clock: any Clock<Duration>
    let logger: Logger

    /// Reads until the worker stops.
    ///
    /// - Throws: An error that trying again can't mend.
    func run() async throws(AMQPError) {
        // Its children: a task for each consumer that the circuit breaker ended and whose last jobs still need its channel.
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
        var backoff = Backoff(from: .milliseconds(200), to: .seconds(1))
        var isToDeclare = declaresTopology
        while !consumers.isStopping {
            do throws(AMQPError) {
                if isToDeclare { try await declarer.declare(queue) }
                isToDeclare = false
                try await consume(&retired) { backoff.reset() }
                return
            } catch {
                // What waits for a slot came from the lost consumer: it would only be done twice.
                for item in deliveries.removeAll(lane: index) { item.delivery.nack(requeue: true) }
                if consumers.isStopping { return }
                guard canPass(error) else { throw error }
                let pause = backoff.next()
                warn(error, pause)
                counters.consumersLost.add(1, ordering: .relaxed)
                if await consumers.stopping.wait(for: pause, clock: clock) { return }
                // Consuming waits for declarations only if it must: a cluster that has lost a node answers them late. They come after the
                // pause, because of what brokers do to a queue that is declared again at once (`BrokerFeatures.mayKeepDeadConsumers`).
                if error.code == .notFound { isToDeclare = declaresTopology } else { declarer.consumerWasLost() }
            }
        }
    }

    /// Consumes until the worker stops; where the queue has a circuit breaker, as that permits.
    private func consume(_ retired: inout DiscardingTaskGroup, _ delivered: () -> Void) async throws(AMQPError) {
        guard let breaker else {
            repeat { try await consume(prefetch: prefetch, nil, delivered) } while !consumers.isStopping
            return
        }
        let name = lane.queue(of: queue)
        while true {
            // While the breaker is open the queue is left alone on purpose, which is no ill health.
            consumers.setPaused(true, queue: name)
            let permission = await breaker.permission(unless: consumers.stopping)
            consumers.setPaused(false, queue: name)
            guard let permission else { return }
            let use = ConsumerLease(permission)
            try await consume(prefetch: permission.isProbe ? 1 : prefetch, use, delivered)
            retired.addTask { await close(use) }
        }
    }

    /// Closes a consumer that the circuit breaker ended, when its last job is settled; at shutdown the session does that.
    private func close(_ use: ConsumerLease) async {
        await use.over.wait(or: consumers.stopping)
        guard use.over.isOpen, !consumers.isStopping, let (id, stream) = use.retired else { return }
        consumers.remove(id)
        await stream.close()
    }

    /// Consumes until the worker stops, the circuit breaker wants the queue consumed otherwise, or the consumer is to be made anew.
    ///
    /// One that the breaker ended is retired, and its channel still open.
    private func consume(
        prefetch: UInt16,
        _ use: ConsumerLease?,
        _ delivered: () -> Void
    ) async throws(AMQPError) {
        let stream = try await transport.consume(queue: lane.queue(of: queue), prefetch: prefetch, arguments: [:])
        guard let id = consumers.add(stream, of: lane.queue(of: queue)) else { return await stream.close() }
        renewal.began(stream)
        defer {
            renewal.ended()
            use?.ended.open()
        }
        do throws(AMQPError) {
            if let breaker, let use, !breaker.began(stream, lane: index, use.permission) { await stream.cancel() }
            while true {
                let batch = try await stream.nextBatch()
                if batch.isEmpty { break }
                delivered()
                renewal.delivered()
                if renewal.isDue {
                    for delivery in batch { delivery.nack(requeue: true) }
                    continue
                }
                let items = batch.map { LaneDelivery(delivery: $0, lane: lane, use: use) }
                for item in deliveries.offer(items, lane: index) { item.delivery.nack(requeue: true) }
            }
            // Ended by shutdown, its channel is still needed to settle what runs.
            if consumers.isStopping { return }
            let isUnwanted = if let breaker, let use { !breaker.holds(use.permission) } else { false }
            if isUnwanted || renewal.isDue {
                for item in deliveries.removeAll(lane: index) { item.delivery.nack(requeue: true) }
                if let use { return use.retire(id, stream) }
                consumers.remove(id)
                return await stream.close()
            }
            throw AMQPError(.consumerCancelled, "The consumer of queue '\(lane.queue(of: queue))' ended.")
        } catch {
            consumers.remove(id)
            await stream.close()
            throw error
        }
    }

    /// A queue that is missing can be declared, unless that isn't this worker's business.
    private func canPass(_ error: AMQPError) -> Bool {
        error.isRetriable || (error.code == .notFound && declaresTopology)
    }

    private func warn(_ error: AMQPError, _ pause: Duration) {
        logger.warning(
            "A worker lost its consumer and will consume again",
            metadata: [
                LogKey.queue: "\(queue)", LogKey.lane: "\(lane)", LogKey.reason: "\(error)", LogKey.delay: "\(pause)",
            ]
        )
    }
}
