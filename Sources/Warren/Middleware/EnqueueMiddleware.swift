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
