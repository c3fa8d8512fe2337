/// A handler made of a closure, as a worker's list of handlers has them.
///
/// ```swift
/// Handler(SendEmail.self) { email, context in try await mailer.send(email) }
/// ```
public struct Handler<Payload: Job>: JobHandler {
    private let body: @Sendable (Payload, JobContext) async throws -> Void

    /// Handles jobs of `type` with `body`.
    public init(
        _ type: Payload.Type,
        _ body: @escaping @Sendable (_ job: Payload, _ context: JobContext) async throws -> Void
    ) {
        self.body = body
    }

    /// Runs the closure.
    public func handle(_ job: Payload, context: JobContext) async throws {
        try await body(job, context)
    }
}
