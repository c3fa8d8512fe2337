public import AMQP
public import Logging

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// Metadata about the running job: id, attempt, queue, headers, logger.
///
/// Cheap to create; most fields are decoded on first access.
public struct JobContext: Sendable {
    /// The job's message: headers and body as they were delivered.
    public let envelope: Envelope
    /// The queue the job came from.
    public let queue: QueueName
    /// The lane of the queue.
    public let lane: Lane
    /// The name of the worker that runs the job.
    public let worker: String
    /// Whether the broker may have delivered the job before, to a worker that didn't settle it.
    public let isRedelivered: Bool
    private let maximumAttempts: Int
    private let baseLogger: Logger

    /// Creates a context, as a worker does for each delivery, and a test for its handler.
    ///
    /// - Parameters:
    ///   - envelope: The job's message.
    ///   - queue: The queue the job came from.
    ///   - lane: The lane of the queue.
    ///   - worker: The name of the worker.
    ///   - isRedelivered: Whether the broker may have delivered the job before.
    ///   - maximumAttempts: The number of attempts that the job's retry policy allows in all.
    ///   - logger: The worker's logger; ``logger`` adds the job's name, id and attempt.
    public init(
        envelope: Envelope,
        queue: QueueName,
        lane: Lane = .normal,
        worker: String,
        isRedelivered: Bool = false,
        maximumAttempts: Int = 1,
        logger: Logger
    ) {
        self.envelope = envelope
        self.queue = queue
        self.lane = lane
        self.worker = worker
        self.isRedelivered = isRedelivered
        self.maximumAttempts = maximumAttempts
        baseLogger = logger
    }

    /// The job's id: the same over all its attempts.
    public var id: String { envelope.id }
    /// The job's name.
    public var name: String { envelope.name }
    /// The number of this attempt, from 1: failures that were followed by a retry, plus one.
    public var attempt: Int { envelope.attempt }
    /// The number of attempts that the policy allows after this one.
    public var retriesLeft: Int { max(0, maximumAttempts - attempt) }
    /// The number of earlier deliveries of this message, as far as the broker counts them (quorum queues do).
    public var deliveryCount: Int { envelope.deliveryCount ?? (isRedelivered ? 1 : 0) }
    /// The time at which the job was enqueued; `nil` if its sender didn't record it.
    public var enqueuedAt: Date? { envelope.enqueuedAt }
    /// The time after which the job isn't worth starting.
    public var expiresAt: Date? { envelope.expires }
    /// All headers of the message, those of Celery's protocol and any that the sender added.
    public var headers: FieldTable { envelope.headers }

    /// The worker's logger with the job's name, id and attempt as metadata.
    public var logger: Logger {
        var logger = baseLogger
        logger[metadataKey: LogKey.job] = "\(name)"
        logger[metadataKey: LogKey.jobID] = "\(id)"
        logger[metadataKey: LogKey.attempt] = "\(attempt)"
        return logger
    }

    var workerLogger: Logger { baseLogger }
}
