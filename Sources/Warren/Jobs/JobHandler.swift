/// Executes jobs of one kind.
///
/// The handler holds what the work needs: clients, pools, settings.
///
/// Most handlers are a closure in a ``Handler``; a type suits a handler that holds much or is tested by
/// itself.
public protocol JobHandler<Payload>: Sendable {
    /// The kind of job that it executes.
    associatedtype Payload: Job

    /// Executes the job. Returning means success; throwing means failure, and the job's ``RetryPolicy`` decides what
    /// comes next.
    ///
    /// Many jobs run at once on the cooperative pool, so a handler must not block its thread. At shutdown, the task is
    /// cancelled once the worker's shutdown timeout has passed; a job that ends with `CancellationError` then is
    /// requeued, and no failure is counted. At a soft time limit it is cancelled too (``TimeLimits``): a job that then
    /// ends with an error has failed, one that returns has succeeded.
    ///
    /// - Throws: ``JobFailure`` to decide what happens next; the policy decides about any other error.
    func handle(_ job: Payload, context: JobContext) async throws
}

/// A handler made of a closure, for the list of handlers of a worker.
///
/// ```swift
/// Handler(SendEmail.self) { email, context in try await mailer.send(email) }
/// ```
public struct Handler<Payload: Job>: JobHandler {
    private let body: @Sendable (Payload, JobContext) async throws -> Void

    /// Executes jobs of `type` with `body`.
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

/// Builds the list of a worker's handlers from the lines of a closure; `if`, `switch` and `for` may choose among them.
@resultBuilder
public enum HandlerBuilder {
    /// One handler.
    public static func buildExpression(_ handler: some JobHandler) -> [JobRegistration] { [JobRegistration(handler)] }
    /// Handlers registered elsewhere.
    public static func buildExpression(_ registrations: [JobRegistration]) -> [JobRegistration] { registrations }
    /// Lines one after another.
    public static func buildBlock(_ parts: [JobRegistration]...) -> [JobRegistration] { parts.flatMap { $0 } }
    /// An `if` without `else`.
    public static func buildOptional(_ part: [JobRegistration]?) -> [JobRegistration] { part ?? [] }
    /// An `if`'s first branch.
    public static func buildEither(first part: [JobRegistration]) -> [JobRegistration] { part }
    /// An `if`'s other branch.
    public static func buildEither(second part: [JobRegistration]) -> [JobRegistration] { part }
    /// A loop.
    public static func buildArray(_ parts: [[JobRegistration]]) -> [JobRegistration] { parts.flatMap { $0 } }
    /// An `if #available`.
    public static func buildLimitedAvailability(_ part: [JobRegistration]) -> [JobRegistration] { part }
}
