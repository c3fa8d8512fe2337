public import AMQP
public import Logging

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// What a handler may want to know about the job it runs.
///
/// Making one costs next to nothing: what isn't at hand is read from the message when it is asked for.
public struct JobContext: Sendable {
    /// The job's message: headers and body as they came.
    public let envelope: Envelope
    /// The queue the job came from.
    public let queue: QueueName
    /// The lane of the queue.
    public let lane: Lane
    /// The name of the worker that runs the job.
    public let worker: String
    /// True if the broker may have delivered the job before, to a worker that didn't settle it.
    public let isRedelivered: Bool
    private let maximumAttempts: Int
    private let baseLogger: Logger

    /// A context, as a worker makes it for each delivery, and a test for its handler.
    ///
    /// - Parameter maximumAttempts: How many attempts the job's retry policy allows in all.
    /// - Parameter logger: The worker's logger, to which ``logger`` adds what identifies the job.
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
    /// Which attempt this is, from 1: failures that were followed by a retry, plus one.
    public var attempt: Int { envelope.attempt }
    /// How many attempts the policy allows after this one.
    public var retriesLeft: Int { max(0, maximumAttempts - attempt) }
    /// How often the broker delivered this message before, as far as it says so (quorum queues do).
    public var deliveryCount: Int { envelope.deliveryCount ?? (isRedelivered ? 1 : 0) }
    /// When the job was enqueued, if its sender said so.
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
