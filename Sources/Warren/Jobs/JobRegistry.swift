/// Which handler does which job: made once, before a worker runs, and never changed.
public struct JobRegistry: Sendable {
    private let registrations: [String: JobRegistration]

    /// A registry of these handlers.
    ///
    /// - Throws: ``WarrenError`` with `duplicateHandler` if two have one name, `invalidJobName`, or
    ///   `invalidConfiguration` if time limits make no sense.
    public init(_ list: [JobRegistration]) throws(WarrenError) {
        var registrations: [String: JobRegistration] = [:]
        registrations.reserveCapacity(list.count)
        for registration in list {
            try JobName.validate(registration.name)
            try registration.timeLimits.validate(job: registration.name)
            guard registrations.updateValue(registration, forKey: registration.name) == nil else {
                throw WarrenError(
                    .duplicateHandler,
                    "Two handlers are registered for the job '\(registration.name)': a name has one handler in a worker."
                )
            }
        }
        self.registrations = registrations
    }

    /// A registry of the handlers in a closure.
    ///
    /// - Throws: ``WarrenError`` with `duplicateHandler` if two have one name, `invalidJobName`, or
    ///   `invalidConfiguration` if time limits make no sense.
    public init(@HandlerBuilder _ handlers: () -> [JobRegistration]) throws(WarrenError) {
        try self.init(handlers())
    }

    /// The registration for a job's name; `nil` if this process doesn't know the name.
    public subscript(name: String) -> JobRegistration? { registrations[name] }

    /// All names, in order.
    public var names: [String] { registrations.keys.sorted() }
}

/// A handler without its type: what a registry keeps for a job's name.
public struct JobRegistration: Sendable {
    /// The job's name on the wire.
    public let name: String
    /// The queue that jobs of this kind go to.
    public let queue: QueueName
    /// What happens after a failure.
    public let retry: RetryPolicy
    /// What happens to one that expired.
    public let expiryPolicy: ExpiryPolicy
    /// How long one attempt may take, where the message doesn't say otherwise.
    public let timeLimits: TimeLimits

    private let body: @Sendable (Envelope, JobContext) async throws -> Void

    /// Registers a handler under its job's name.
    public init<Handler: JobHandler>(_ handler: Handler) {
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
    /// - Throws: ``UndecodablePayload`` if the payload isn't one of this job, in which case the handler was not called; else what
    ///   the handler throws.
    func run(_ envelope: Envelope, _ context: JobContext) async throws {
        try await body(envelope, context)
    }
}

/// Says that a handler was not called because the payload could not be read.
///
/// Only a registry throws it, so it can't be mistaken for an ``EnvelopeError`` that a handler came across in its own
/// work.
struct UndecodablePayload: Error, CustomStringConvertible {
    let reason: EnvelopeError
    var description: String { reason.description }
}
