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
/// let broker = try await Broker.open("amqp://localhost")
/// let jobs = JobClient(broker)
/// try await jobs.enqueue(SendEmail(to: "ada@example.com", subject: "Hi"), delay: .seconds(300))
/// await broker.close()
/// ```
///
/// One client serves the whole process and any number of tasks. Nothing is sent or connected before the first
/// `enqueue`; the exchanges and queues that the client publishes to are declared on first use.
///
/// A job passes four steps: its request is validated, encoded as a message, routed, and published.
public final class JobClient: Sendable {
    /// The time for which `enqueue` tries by default: 30 seconds.
    public static let defaultTimeout: Duration = .seconds(30)

    let spool: Spool?
    /// Publishes to the broker, past the spool.
    let broker: BrokerPublisher
    private let clock: any Clock<Duration>

    private let publisher: any JobPublisher
    private let middleware: [any EnqueueMiddleware]
    private let writer: EnvelopeWriter
    private let topology: Topology
    private let now: @Sendable () -> Date

    /// Creates a client of an application's queues.
    ///
    /// - Parameters:
    ///   - transport: The connection to the broker. The client doesn't close it.
    ///   - topology: The queues that differ from the default; the same value as in the workers.
    ///   - middleware: Wraps each `enqueue`; the first is the outermost.
    ///   - spool: Takes the jobs that the broker can't take now, for the ``replayer`` to send later. Without one,
    ///     `enqueue` throws.
    ///   - declaresTopology: Whether to declare exchanges and queues on first use; off for users that may only publish.
    ///   - showsPayload: Whether to copy the first 1,024 bytes of a payload into the header `kwargsrepr`, where
    ///     Celery's tools (Flower, `inspect`) show them to operators; by default they show `{…}`.
    ///   - logger: Logs a warning for each existing exchange or queue that differs from the topology.
    ///   - now: The wall clock, for dates on the wire.
    public convenience init(
        _ transport: some Transport,
        topology: Topology = Topology(),
        middleware: [any EnqueueMiddleware] = [],
        spool: Spool? = nil,
        declaresTopology: Bool = true,
        showsPayload: Bool = false,
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

    /// Creates a client whose timeouts run on another clock than the machine's, for tests.
    package init(
        _ transport: some Transport,
        topology: Topology = Topology(),
        middleware: [any EnqueueMiddleware] = [],
        spool: Spool? = nil,
        declaresTopology: Bool = true,
        showsPayload: Bool = false,
        logger: Logger = Logger(label: "warren.client"),
        clock: any Clock<Duration>,
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        broker = BrokerPublisher(
            transport: transport,
            topology: topology,
            declaresTopology: declaresTopology,
            logger: logger,
            clock: clock,
            now: now
        )
        publisher = spool.map { [broker] in SpoolingPublisher(broker: broker, spool: $0, clock: clock) } ?? broker
        writer = EnvelopeWriter(showsPayload: showsPayload)
        self.topology = topology
        self.middleware = middleware
        self.spool = spool
        self.clock = clock
        self.now = now
    }

    // MARK: - Enqueueing

    /// Sends a job, and returns when the broker has taken responsibility for it.
    ///
    /// A client with a ``Spool`` also returns when the job is durable there, because the broker can't take it now or
    /// because earlier jobs wait there: see ``EnqueuedJob/isSpooled``.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - delay: The time until the job is due, up to 2^28 - 1 seconds; the broker keeps the job until then. Delays
    ///     over a minute are rounded up by less than a 32nd.
    ///   - date: The time at which the job is due, instead of `delay`; a time in the past means at once.
    ///   - lane: The lane, instead of the job's own.
    ///   - queue: The queue, instead of the job's own.
    ///   - expiresAt: The time after which the job must not be started, instead of the job's ``Job/timeToLive``.
    ///   - timeLimits: The time that an attempt may take; each limit given overrides the one of the job's type.
    ///   - id: The job's id; a new one by default. Two jobs with the same id are two jobs: noticing that is up to the
    ///     handlers.
    ///   - headers: Additional headers, which handlers find in ``JobContext/headers``.
    ///   - timeout: The time for which to try. `enqueue` never takes longer.
    /// - Returns: The job as it was enqueued.
    /// - Throws: ``WarrenError``: for bad input before anything is sent; `notEnqueued` and `topologyFailed` if the
    ///   broker is the reason, which say whether to try again; `spoolFull`, `spoolFailed` and `spoolTimedOut` if the
    ///   spool had to take the job and couldn't. Also what a middleware throws.
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
            deadline: Deadline.instant(after: timeout),
            payload: try EnvelopeWriter.encode(job)
        )
        return try await send(request, through: middleware[...])
    }

    /// Sends a job that is known only by its name and the JSON of its payload, as on a command line.
    ///
    /// - Parameters:
    ///   - name: The job's name.
    ///   - json: The payload: a JSON object.
    ///   - queue: The queue.
    ///   - delay: The time until the job is due, up to 2^28 - 1 seconds.
    ///   - date: The time at which the job is due, instead of `delay`.
    ///   - lane: The lane.
    ///   - expiresAt: The time after which the job must not be started; `nil` for never.
    ///   - timeLimits: The time that an attempt may take; each limit given overrides the one of the job's type.
    ///   - id: The job's id; a new one by default.
    ///   - headers: Additional headers.
    ///   - timeout: The time for which to try.
    /// - Returns: The job as it was enqueued.
    /// - Throws: ``WarrenError``, as the typed `enqueue`; `payloadNotEncodable` if `json` isn't an object.
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
            deadline: Deadline.instant(after: timeout),
            payload: try PayloadDecoding.object(json, job: name)
        )
        return try await send(request, through: middleware[...])
    }

    private func send(
        _ request: EnqueueRequest,
        through layers: ArraySlice<any EnqueueMiddleware>
    ) async throws -> EnqueuedJob {
        guard let layer = layers.first else { return try await send(request) }
        return try await layer.enqueue(request) { try await self.send($0, through: layers.dropFirst()) }
    }

    /// Validates, encodes, routes and publishes a job.
    private func send(_ request: EnqueueRequest) async throws -> EnqueuedJob {
        let now = now()
        try request.validate(now: now)
        let message = try writer.message(for: request, now: now)
        let route = Route(queue: request.queue, lane: request.lane, dueAt: request.dueAt, topology: topology)
        let isSpooled = try await publisher.publish(message, along: route, deadline: request.deadline)
        return EnqueuedJob(
            id: request.id,
            name: request.name,
            queue: request.queue,
            lane: request.lane,
            dueAt: request.dueAt,
            expiresAt: request.expiresAt,
            isSpooled: isSpooled
        )
    }

    // MARK: - The spool

    /// A service that sends the spooled jobs when the broker is back: add it to the program's `ServiceGroup`, or run it
    /// beside its work.
    ///
    /// Without it, or ``flushSpool(timeout:)``, spooled jobs stay in the file.
    public var replayer: SpoolReplayer { SpoolReplayer(self) }

    /// Sends the spooled jobs, and returns when all of them are at the broker: for programs that run no ``replayer``,
    /// and before a program ends.
    ///
    /// - Parameter timeout: The time for which to try.
    /// - Throws: ``WarrenError`` with `notEnqueued` if jobs are left when it has passed: they stay in the spool;
    ///   `CancellationError`.
    public func flushSpool(timeout: Duration = JobClient.defaultTimeout) async throws {
        guard let spool else { return }
        try await SpoolReplay.flush(spool, to: broker, timeout: timeout, clock: clock)
    }
}

/// A job on its way to the broker, as an ``EnqueueMiddleware`` sees and may change it.
public struct EnqueueRequest: Sendable {
    /// The job's id.
    public var id: String
    /// The job's name.
    public let name: String
    /// The queue it goes to.
    public var queue: QueueName
    /// The lane of the queue.
    public var lane: Lane
    /// The time at which it is due; `nil` for at once.
    public var dueAt: Date?
    /// The time after which it must not be started; `nil` for never.
    public var expiresAt: Date?
    /// The time that an attempt may take; a limit that is `nil` here is the one of the job's type.
    public var timeLimits: TimeLimits = .none
    /// The id of the job that enqueues this one.
    public var parentID: String?
    /// The id of the first job of the workflow; `nil` for the job's own.
    public var rootID: String?
    /// Additional headers.
    ///
    /// Those that the protocol needs can't be replaced.
    public var headers: FieldTable
    /// The time at which to give up.
    public var deadline: ContinuousClock.Instant
    /// The payload: a JSON object.
    public let payload: Data

    fileprivate func validate(now: Date) throws(WarrenError) {
        try JobName.validate(name)
        try JobID.validate(id)
        try timeLimits.validate(job: name)
        if let expiresAt, expiresAt <= dueAt ?? now {
            throw WarrenError(
                .invalidExpiry,
                "The job '\(name.truncated(toBytes: 80))' would expire before it is due: no worker would start it."
            )
        }
        // A middleware may have changed it.
        if let dueAt { _ = try Timing.due(delay: nil, at: dueAt, now: now) }
    }
}

/// A job that was enqueued: what identifies it later.
public struct EnqueuedJob: Sendable, Hashable {
    /// The job's id.
    public let id: String
    /// The job's name.
    public let name: String
    /// The queue it went to.
    public let queue: QueueName
    /// The lane of the queue.
    public let lane: Lane
    /// The time at which it is due; `nil` for at once.
    public let dueAt: Date?
    /// The time after which it is not started any more; `nil` for never.
    public let expiresAt: Date?
    /// True if it is in the client's ``Spool`` because the broker couldn't take it; the client's ``JobClient/replayer``
    /// sends it later.
    public let isSpooled: Bool

    /// Creates an enqueued job with these fields, as tests need it.
    public init(
        id: String,
        name: String,
        queue: QueueName,
        lane: Lane,
        dueAt: Date? = nil,
        expiresAt: Date? = nil,
        isSpooled: Bool = false
    ) {
        self.id = id
        self.name = name
        self.queue = queue
        self.lane = lane
        self.dueAt = dueAt
        self.expiresAt = expiresAt
        self.isSpooled = isSpooled
    }
}
