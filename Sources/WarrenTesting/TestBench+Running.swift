public import AMQP
import EmbeddedBroker
public import Warren

/// What came of one attempt at a job.
public struct Attempt: Sendable {
    /// What would become of the job.
    public var outcome: Outcome
    /// What the handler, or a middleware, threw.
    public var error: (any Error)?

    /// Throws what the handler threw.
    public func get() throws { if let error { throw error } }
}

extension TestBench {
    /// Attempts a job once in the calling task, through the worker's middleware, without enqueueing it.
    ///
    /// The message is made as `enqueue` makes it, and decoded as a worker decodes it. Retries are decided, and not made; Celery calls this
    /// `apply`.
    ///
    /// - Parameter attempt: Which attempt the handler is to see, from 1.
    /// - Parameter headers: More headers, which the handler finds in its context.
    /// - Throws: `WarrenError` if the worker has no handler for the job. What the handler throws is in the ``Attempt``.
    public func performJob<Payload: Job>(
        _ job: Payload,
        attempt: Int = 1,
        headers: FieldTable = FieldTable(),
        on worker: Worker
    ) async throws -> Attempt {
        // A broker for this one message: nothing of it is seen on the bench.
        let aside = EmbeddedBroker(clock: clock)
        let jobs = JobClient(aside, topology: topology, now: { [clock] in clock.date })
        try await jobs.enqueue(job, headers: headers)
        guard var message = aside.storedMessages(in: Payload.lane.queue(of: Payload.queue)).first?.message else {
            preconditionFailure("What was enqueued is in its queue.")
        }
        message.properties.headers?["retries"] = .integer(Int64(attempt - 1))
        let result = try await worker.attempt(message, in: Payload.queue, lane: Payload.lane)
        return Attempt(outcome: result.outcome, error: result.error)
    }

    /// The jobs that could not succeed, with reason, error and history; of one queue, or of all.
    public func deadLetters(of queue: QueueName? = nil) -> [DeadLetter] {
        let names = queue.map { [$0.dead] } ?? broker.queueNames.filter { $0.hasSuffix(".dead") }
        return names.flatMap { name in
            broker.readyMessages(in: name).map { DeadLetter($0, of: QueueName(String(name.dropLast(".dead".count)))) }
        }
    }
}
