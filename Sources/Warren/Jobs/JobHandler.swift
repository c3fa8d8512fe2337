/// Does jobs of one kind.
///
/// The handler holds what the work needs: clients, pools, settings.
///
/// Most handlers are a closure in a ``Handler``; a type of its own suits one with much to hold or to test.
public protocol JobHandler<Payload>: Sendable {
    /// The kind of job it does.
    associatedtype Payload: Job

    /// Does the job. Returning means success; throwing means failure, and the job's ``RetryPolicy`` decides what comes next.
    ///
    /// Many jobs run at once on the cooperative pool, so a handler must not block its thread. At shutdown, the task is cancelled once
    /// the worker's deadline has passed; a job that ends with `CancellationError` then is handed back, and no failure is counted.
    /// At a soft time limit it is cancelled too (``TimeLimits``): a job that then ends with an error has failed, one that returns succeeded.
    ///
    /// - Throws: ``JobFailure`` to say what should happen next; any other error is judged by the policy.
    func handle(_ job: Payload, context: JobContext) async throws
}

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

/// Makes the list of a worker's handlers out of the lines of a closure; `if`, `switch` and `for` may choose among them.
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
