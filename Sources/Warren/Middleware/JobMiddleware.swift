/// Wraps the execution of jobs on a worker: for logs, metrics, traces, limits.
///
/// The first middleware of a worker's list is the outermost. Each calls `next` once, or throws instead, which counts as
/// a failure of the job. A worker without middleware pays nothing for it.
public protocol JobMiddleware: Sendable {
    /// Runs around one attempt. `next` decodes the payload and runs the rest of the list and the handler.
    func execute(
        _ context: JobContext,
        next: (JobContext) async throws -> Void
    ) async throws

    /// Called once a delivery's outcome is durable, including deliveries whose handler never ran.
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
/// The first middleware of a client's list is the outermost. Each calls `next` with the request, changed or not, and
/// returns the enqueued job; or it throws, and nothing is sent. A client without middleware pays nothing for it.
public protocol EnqueueMiddleware: Sendable {
    /// Runs around the validation and the publishing of one job.
    func enqueue(
        _ request: EnqueueRequest,
        next: (EnqueueRequest) async throws -> EnqueuedJob
    ) async throws -> EnqueuedJob
}
