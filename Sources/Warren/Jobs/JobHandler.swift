public import AMQP
public import Logging

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

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

/// Metadata about the running job: id, attempt, queue, headers, logger.
///
/// Cheap to create; most fields are decoded on first access.
public struct JobContext: Sendable {
    /// The job's message: headers and body as they were delivered.
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

    /// Creates a context, as a worker does for each delivery, and a test for its handler.
    ///
    /// - Parameters:
    ///   - envelope: The job's message.
    ///   - queue: The queue the job came from.
    ///   - lane: The lane of the queue.
    ///   - worker: The name of the worker.
    ///   - isRedelivered: Whether the broker may have delivered the job before.
    ///   - maximumAttempts: The number of attempts that the job's retry policy allows in all.
    ///   - logger: The worker's logger; ``logger`` adds the job's name, id and attempt.
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
    /// The number of this attempt, from 1: failures that were followed by a retry, plus one.
    public var attempt: Int { envelope.attempt }
    /// The number of attempts that the policy allows after this one.
    public var retriesLeft: Int { max(0, maximumAttempts - attempt) }
    /// The number of earlier deliveries of this message, as far as the broker counts them (quorum queues do).
    public var deliveryCount: Int { envelope.deliveryCount ?? (isRedelivered ? 1 : 0) }
    /// The time at which the job was enqueued; `nil` if its sender didn't record it.
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

/// The handler of each job name: made once, before a worker runs, and never changed.
struct JobRegistry: Sendable {
    private let registrations: [String: JobRegistration]

    /// A registry of these handlers.
    ///
    /// - Throws: ``WarrenError`` with `duplicateHandler` if two have one name, `invalidJobName`, or
    ///   `invalidConfiguration` if time limits make no sense.
    init(_ list: [JobRegistration]) throws(WarrenError) {
        var registrations: [String: JobRegistration] = [:]
        registrations.reserveCapacity(list.count)
        for registration in list {
            try JobName.validate(registration.name)
            try registration.timeLimits.validate(job: registration.name)
            guard registrations.updateValue(registration, forKey: registration.name) == nil else {
                throw WarrenError(
                    .duplicateHandler,
                    "Two handlers are registered for the job '\(registration.name)', but a name has one handler."
                )
            }
        }
        self.registrations = registrations
    }

    /// A registry of the handlers in a closure.
    ///
    /// - Throws: ``WarrenError`` with `duplicateHandler` if two have one name, `invalidJobName`, or
    ///   `invalidConfiguration` if time limits make no sense.
    init(@HandlerBuilder _ handlers: () -> [JobRegistration]) throws(WarrenError) {
        try self.init(handlers())
    }

    /// The registration for a job's name; `nil` if this process doesn't know the name.
    subscript(name: String) -> JobRegistration? { registrations[name] }

    /// All names, sorted.
    var names: [String] { registrations.keys.sorted() }
}

/// A handler without its type, as a ``HandlerBuilder`` lists it.
public struct JobRegistration: Sendable {
    /// The job's name on the wire.
    package let name: String
    /// The queue that jobs of this kind go to.
    package let queue: QueueName
    /// The policy for failures.
    package let retry: RetryPolicy
    /// The policy for expired jobs.
    package let expiryPolicy: ExpiryPolicy
    /// The time that one attempt may take; a limit in the message overrides it.
    package let timeLimits: TimeLimits

    private let body: @Sendable (Envelope, JobContext) async throws -> Void

    /// Registers a handler under its job's name.
    package init<Handler: JobHandler>(_ handler: Handler) {
        name = Handler.Payload.name
        queue = Handler.Payload.queue
        retry = Handler.Payload.retry
        expiryPolicy = Handler.Payload.expiryPolicy
        timeLimits = Handler.Payload.timeLimits
        body = { envelope, context in
            let job: Handler.Payload
            do throws(EnvelopeError) {
                job = try envelope.payload(as: Handler.Payload.self)
            } catch {
                throw UndecodablePayload(reason: error)
            }
            try await handler.handle(job, context: context)
        }
    }

    /// Decodes the payload and runs the handler.
    ///
    /// - Throws: ``UndecodablePayload`` if the payload isn't one of this job, in which case the handler was not called;
    ///   else the handler's error.
    func run(_ envelope: Envelope, _ context: JobContext) async throws {
        try await body(envelope, context)
    }
}

/// The payload could not be read, so the handler was not called.
///
/// Only a registration throws it, so it can't be mistaken for an ``EnvelopeError`` that a handler throws.
struct UndecodablePayload: Error, CustomStringConvertible {
    let reason: EnvelopeError
    var description: String { reason.description }
}
