import AMQP
public import Logging

/// Logs each job: enqueued or spooled (debug), started (debug), thrown an error (debug), and its outcome (info).
///
/// A worker logs by itself which jobs are retried, dead, parked or quarantined.
///
/// Messages below the logger's level cost next to nothing. Names, ids and errors are logged, never a payload.
public struct LoggingMiddleware: JobMiddleware, EnqueueMiddleware {
    private let logger: Logger?

    /// Logs to `logger`.
    ///
    /// Without one, logs to the worker's logger on execution, and to `warren.client` on enqueueing.
    public init(_ logger: Logger? = nil) { self.logger = logger }

    /// Logs the job when it starts and, if it throws, the error.
    public func execute(_ context: JobContext, next: (JobContext) async throws -> Void) async throws {
        log(.debug, "Job started", context)
        do {
            try await next(context)
        } catch {
            log(.debug, "Job failed", context, [LogKey.error: "\(ErrorDescription(error).message)"])
            throw error
        }
    }

    /// Logs the job's outcome.
    public func settled(_ context: JobContext, outcome: Outcome) {
        switch outcome.kind {
        case .dead(let reason):
            log(.info, "Job settled", context, [LogKey.outcome: "\(outcome.name)", LogKey.reason: "\(reason)"])
        case .retry(let delay):
            log(.info, "Job settled", context, [LogKey.outcome: "\(outcome.name)", LogKey.delay: "\(delay)"])
        default:
            log(.info, "Job settled", context, [LogKey.outcome: "\(outcome.name)"])
        }
    }

    /// Logs a job that the broker or the spool took.
    ///
    /// A job that neither took is for the caller to log, who has the error.
    public func enqueue(
        _ request: EnqueueRequest,
        next: (EnqueueRequest) async throws -> EnqueuedJob
    ) async throws -> EnqueuedJob {
        let job = try await next(request)
        let logger = logger ?? LoggingMiddleware.clientLogger
        if logger.logLevel <= .debug {
            logger.debug(
                job.isSpooled ? "Job spooled" : "Job enqueued",
                metadata: [
                    LogKey.job: "\(job.name)", LogKey.jobID: "\(job.id)", LogKey.queue: "\(job.queue)",
                    LogKey.lane: "\(job.lane)",
                ]
            )
        }
        return job
    }

    private static let clientLogger = Logger(label: "warren.client")

    private func log(
        _ level: Logger.Level,
        _ message: Logger.Message,
        _ context: JobContext,
        _ more: @autoclosure () -> Logger.Metadata = [:]
    ) {
        let logger = logger ?? context.workerLogger
        guard logger.logLevel <= level else { return }
        var metadata: Logger.Metadata = [
            LogKey.job: "\(context.name)", LogKey.jobID: "\(context.id)", LogKey.attempt: "\(context.attempt)",
            LogKey.queue: "\(context.queue)", LogKey.lane: "\(context.lane)", LogKey.worker: "\(context.worker)",
        ]
        metadata.merge(more()) { _, new in new }
        logger.log(level: level, message, metadata: metadata)
    }
}
