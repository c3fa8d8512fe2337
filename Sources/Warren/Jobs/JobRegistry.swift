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
