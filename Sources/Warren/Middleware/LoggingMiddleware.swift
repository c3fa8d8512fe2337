import AMQP
public import Logging

/// Logs each job: enqueued or spooled (debug), started (debug), and what became of it (info; warning if it failed or is dead).
///
/// It costs next to nothing for what the logger's level leaves out. It logs names, ids and errors, and no payload.
public struct LoggingMiddleware: JobMiddleware, EnqueueMiddleware {
    private let logger: Logger?

    /// Logs to `logger`; without one, to the worker's own when it executes, and as `warren.client` when it enqueues.
    public init(_ logger: Logger? = nil) { self.logger = logger }

    /// Logs the job when it starts and, if it throws, the error.
    public func execute(_ context: JobContext, next: (JobContext) async throws -> Void) async throws {
        log(.debug, "Job started", context)
        do {
            try await next(context)
        } catch {
            log(.warning, "Job failed", context, [LogKey.error: "\(ErrorDescription(error).message)"])
            throw error
        }
    }

    /// Logs what became of the job.
    public func settled(_ context: JobContext, outcome: Outcome) {
        switch outcome.kind {
        case .dead(let reason):
            log(.warning, "Job settled", context, [LogKey.outcome: "\(outcome.name)", LogKey.reason: "\(reason)"])
        case .retry(let delay):
            log(.info, "Job settled", context, [LogKey.outcome: "\(outcome.name)", LogKey.delay: "\(delay)"])
        default:
            log(.info, "Job settled", context, [LogKey.outcome: "\(outcome.name)"])
        }
    }

    /// Logs a job that the broker or the spool took; what it did not take is the caller's to log, who has the error.
    public func enqueue(
        _ request: EnqueueRequest,
        next: (EnqueueRequest) async throws -> EnqueuedJob
    ) async throws -> EnqueuedJob {
        let handle = try await next(request)
        let logger = logger ?? LoggingMiddleware.clientLogger
        if logger.logLevel <= .debug {
            logger.debug(
                handle.isSpooled ? "Job spooled" : "Job enqueued",
                metadata: [
                    LogKey.job: "\(handle.name)", LogKey.jobID: "\(handle.id)", LogKey.queue: "\(handle.queue)",
                    LogKey.lane: "\(handle.lane)",
                ]
            )
        }
        return handle
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
