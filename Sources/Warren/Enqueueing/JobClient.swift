public import AMQP
public import Logging

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// Sends jobs to the broker.
///
/// ```swift
/// let jobs = JobClient(.rabbitMQ("amqp://localhost"))
/// let handle = try await jobs.enqueue(SendEmail(to: "ada@example.com", subject: "Hi"), delay: .seconds(300))
/// ```
///
/// One client serves the whole process and any number of tasks; nothing is sent or connected before the first `enqueue`. What the
/// client publishes to is declared when it is first used.
public final class JobClient: Sendable {
    /// How long `enqueue` tries unless told otherwise.
    public static let defaultTimeout: Duration = .seconds(30)

    let transport: any Transport
    let topology: Topology
    let middleware: [any EnqueueMiddleware]
    let spool: Spool?
    let writer: EnvelopeWriter
    let directory: DeclaredQueues
    /// The clock by which a deadline passes that the transport doesn't watch.
    let clock: any Clock<Duration>
    let now: @Sendable () -> Date

    /// A client of an application's queues.
    ///
    /// - Parameter transport: The way to the broker. The client doesn't close it.
    /// - Parameter topology: The queues that differ from the default; the same value as in the workers.
    /// - Parameter middleware: What wraps each `enqueue`; the first is the outermost.
    /// - Parameter spool: Takes the jobs that the broker can't take now, for the ``replayer`` to send later; without it, `enqueue` throws then.
    /// - Parameter declares: Whether to declare exchanges and queues on first use; off for users that may only publish.
    /// - Parameter showsPayload: Whether the first 1,024 bytes of a payload are also put into the header `kwargsrepr`, where Celery's
    ///   tools (Flower, `inspect`) show them. AsyncMutex it off if payloads hold what operators shouldn't see.
    /// - Parameter logger: Told, at level warning, when the broker has something else than the topology says.
    /// - Parameter now: What time it is, for dates on the wire.
    public convenience init(
        _ transport: some Transport,
        topology: Topology = Topology(),
        middleware: [any EnqueueMiddleware] = [],
        spool: Spool? = nil,
        declaresTopology: Bool = true,
        showsPayload: Bool = true,
        logger: Logger = Logger(label: "warren.client"),
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.init(
            transport,
            topology: topology,
            middleware: middleware,
            spool: spool,
            declaresTopology: declaresTopology,
            showsPayload: showsPayload,
            logger: logger,
            clock: ContinuousClock(),
            now: now
        )
    }

    /// A client whose deadlines pass by another clock than the machine's, for tests.
    package init(
        _ transport: some Transport,
        topology: Topology = Topology(),
        middleware: [any EnqueueMiddleware] = [],
        spool: Spool? = nil,
        declaresTopology: Bool = true,
        showsPayload: Bool = true,
        logger: Logger = Logger(label: "warren.client"),
        clock: any Clock<Duration>,
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.transport = transport
        self.topology = topology
        self.middleware = middleware
        self.spool = spool
        writer = EnvelopeWriter(showsPayload: showsPayload)
        directory = DeclaredQueues(
            transport: transport,
            topology: topology,
            declaresTopology: declaresTopology,
            clock: clock,
            logger: logger
        )
        self.clock = clock
        self.now = now
    }

    /// Sends a job, and returns when the broker has taken responsibility for it.
    ///
    /// A client with a ``Spool`` also returns when the job is durable there: because the broker can't take it now, or because earlier jobs
    /// wait there. ``EnqueuedJob/isSpooled`` tells.
    ///
    /// - Parameter delay: How long to wait before it is due, up to 2^28 - 1 seconds; the broker keeps it meanwhile. Long delays are
    ///   rounded up by less than a 32nd.
    /// - Parameter at: When it is due, instead of `delay`; a time that has passed means at once.
    /// - Parameter lane: The lane, instead of the job's own.
    /// - Parameter queue: The queue, instead of the job's own.
    /// - Parameter expiresAt: After when it is not to be started, instead of the job's ``Job/timeToLive``.
    /// - Parameter timeLimits: How long an attempt may take; each limit given wins over the one of the job's type.
    /// - Parameter id: The job's id; a new one by default. The same id twice makes two jobs: it is for handlers to notice.
    /// - Parameter headers: More headers, which handlers find in ``JobContext/headers``.
    /// - Parameter timeout: How long to try. It never waits longer.
    /// - Throws: ``WarrenError``: for bad input before anything is sent; `notEnqueued` and `topologyFailed` if the broker is the
    ///   reason, which say whether to try again; `spoolFull`, `spoolFailed` and `spoolTimedOut` if the spool had to take the job and
    ///   couldn't. Also what a middleware throws.
    @discardableResult
    public func enqueue<Payload: Job>(
        _ job: Payload,
        delay: Duration? = nil,
        at date: Date? = nil,
        lane: Lane? = nil,
        queue: QueueName? = nil,
        expiresAt: Date? = nil,
        timeLimits: TimeLimits = .none,
        id: String? = nil,
        headers: FieldTable = FieldTable(),
        timeout: Duration = JobClient.defaultTimeout
    ) async throws -> EnqueuedJob {
        let now = now()
        let dueAt = try Timing.due(delay: delay, at: date, now: now)
        let request = EnqueueRequest(
            id: id ?? JobID.make(now: now),
            name: Payload.name,
            queue: queue ?? Payload.queue,
            lane: lane ?? Payload.lane,
            dueAt: dueAt,
            expiresAt: expiresAt ?? Timing.expiry(after: Payload.timeToLive, due: dueAt, now: now),
            timeLimits: timeLimits,
            headers: headers,
            deadline: Timing.instant(after: timeout),
            payload: try EnvelopeWriter.encode(job)
        )
        return try await enqueue(request, through: middleware[...])
    }

    /// Sends a job of which only the name and the payload's JSON are known, as a command line does.
    ///
    /// - Parameter name: The job's name.
    /// - Parameter json: The payload: a JSON object.
    /// - Throws: ``WarrenError`` as the typed `enqueue`; `payloadNotEncodable` if `json` isn't an object.
    @discardableResult
    public func enqueue(
        name: String,
        json: String,
        queue: QueueName,
        delay: Duration? = nil,
        at date: Date? = nil,
        lane: Lane = .normal,
        expiresAt: Date? = nil,
        timeLimits: TimeLimits = .none,
        id: String? = nil,
        headers: FieldTable = FieldTable(),
        timeout: Duration = JobClient.defaultTimeout
    ) async throws -> EnqueuedJob {
        let now = now()
        let request = EnqueueRequest(
            id: id ?? JobID.make(now: now),
            name: name,
            queue: queue,
            lane: lane,
            dueAt: try Timing.due(delay: delay, at: date, now: now),
            expiresAt: expiresAt,
            timeLimits: timeLimits,
            headers: headers,
            deadline: Timing.instant(after: timeout),
            payload: try PayloadCoding.object(json, job: name)
        )
        return try await enqueue(request, through: middleware[...])
    }

    private func enqueue(
        _ request: EnqueueRequest,
        through layers: ArraySlice<any EnqueueMiddleware>
    ) async throws -> EnqueuedJob {
        guard let layer = layers.first else { return try await publish(request) }
        return try await layer.enqueue(request) { try await self.enqueue($0, through: layers.dropFirst()) }
    }
}
