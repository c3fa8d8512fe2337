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
    let counters: WorkerCounters
    let declares: Bool
    /// Declares what the queue needs.
    let restoreTopology: @Sendable () async throws(AMQPError) -> Void
    let clock: any Clock<Duration>
    let logger: Logger

    /// Reads until the worker stops.
    ///
    /// - Throws: An error that trying again can't mend.
    func run() async throws(AMQPError) {
        var backoff = Backoff(from: .milliseconds(200), to: .seconds(5))
        while !consumers.isStopping {
            do throws(AMQPError) {
                if declares { try await restoreTopology() }
                try await consume { backoff.reset() }
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
            }
        }
    }

    private func consume(_ delivered: () -> Void) async throws(AMQPError) {
        let stream = try await transport.consume(queue: lane.queue(of: queue), prefetch: prefetch, arguments: [:])
        guard let id = consumers.add(stream, of: lane.queue(of: queue)) else { return await stream.close() }
        do throws(AMQPError) {
            while true {
                let batch = try await stream.nextBatch()
                if batch.isEmpty { break }
                delivered()
                let refused = deliveries.offer(batch.map { LaneDelivery(delivery: $0, lane: lane) }, lane: index)
                for item in refused { item.delivery.nack(requeue: true) }
            }
            // Ended by shutdown, its channel is still needed to settle what runs.
            if consumers.isStopping { return }
            throw AMQPError(.consumerCancelled, "The consumer of queue '\(lane.queue(of: queue))' ended.")
        } catch {
            consumers.remove(id)
            await stream.close()
            throw error
        }
    }

    /// A queue that is missing can be declared, unless that isn't this worker's business.
    private func canPass(_ error: AMQPError) -> Bool {
        error.isRetriable || (error.code == .notFound && declares)
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
