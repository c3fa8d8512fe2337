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
