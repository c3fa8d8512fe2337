/// Wraps the execution of jobs on a worker: for logs, metrics, traces, limits.
///
/// The first middleware of a worker's list is the outermost. Each calls `next` once, or throws instead, which counts as a failure of
/// the job. A worker without middleware pays nothing for it.
public protocol JobMiddleware: Sendable {
    /// Runs around one attempt. `next` decodes the payload and runs the rest of the list and the handler.
    func execute(
        _ context: JobContext,
        next: (JobContext) async throws -> Void
    ) async throws

    /// Hears what became of a delivery, after it was made durable. It also hears of those that were never executed.
    func settled(_ context: JobContext, outcome: Outcome)
}

extension JobMiddleware {
    /// Runs the job, and adds nothing.
    public func execute(_ context: JobContext, next: (JobContext) async throws -> Void) async throws {
        try await next(context)
    }

    /// Does nothing.
    public func settled(_ context: JobContext, outcome: Outcome) {}
}

/// Wraps the enqueueing of jobs by a client: for traces, limits, uniqueness.
///
/// The first middleware of a client's list is the outermost. Each calls `next` with the request, changed or not, and returns its
/// handle; or it throws, and nothing is sent. A client without middleware pays nothing for it.
public protocol EnqueueMiddleware: Sendable {
    /// Runs around the checks and the publishing of one job.
    func enqueue(
        _ request: EnqueueRequest,
        next: (EnqueueRequest) async throws -> EnqueuedJob
    ) async throws -> EnqueuedJob
}
