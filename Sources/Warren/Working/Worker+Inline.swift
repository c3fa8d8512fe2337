package import AMQP
import Synchronization

/// What a test needs to know and do with a worker, apart from running it.
extension Worker {
    /// The queues it works on.
    package var queueNames: [QueueName] { queues.map(\.name) }

    /// The queues of the broker that it consumes: each queue's lanes.
    package var lanes: [String] {
        queues.flatMap { queue in
            topology.configuration(of: queue.name).lanes.map { $0.queue(of: queue.name) }
        }
    }

    /// How many deliveries wait in it until they are due, by its clock.
    package var delayedDeliveries: Int {
        life.withLock { if case .running(let session) = $0 { session.delayedDeliveries } else { 0 } }
    }

    /// Attempts a job in the calling task, without a broker: through the worker's middleware, within no time limit.
    ///
    /// Returns what would become of the job, and the error it failed with.
    ///
    /// - Throws: ``WarrenError`` if the worker's handlers make no sense, `invalidConfiguration` if none is for this job;
    ///   ``EnvelopeError`` if the message is no job.
    package func attempt(
        _ message: Message,
        in queue: QueueName,
        lane: Lane
    ) async throws -> (outcome: Outcome, error: (any Error)?) {
        let registry = try JobRegistry(registrations)
        let envelope = try Envelope(decoding: message)
        guard let registration = registry[envelope.name] else {
            throw WarrenError(
                .invalidConfiguration,
                "The worker has no handler for the job '\(envelope.name.truncated(toBytes: 80))': give it one."
            )
        }
        let context = JobContext(
            envelope: envelope,
            queue: queue,
            lane: lane,
            worker: settings.name,
            maximumAttempts: registration.retry.attempts,
            logger: logger
        )
        let ending = await JobExecution(middleware: middleware).run(registration, context)
        var random = SystemRandomNumberGenerator()
        let outcome = Outcome.decide(
            ending,
            envelope: envelope,
            policy: registration.retry,
            expiryPolicy: registration.expiryPolicy,
            now: now(),
            using: &random
        )
        for layer in middleware { layer.settled(context, outcome: outcome) }
        return (outcome, ending.error)
    }
}
