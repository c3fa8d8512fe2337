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
    public init(
        _ transport: some Transport,
        topology: Topology = Topology(),
        middleware: [any EnqueueMiddleware] = [],
        spool: Spool? = nil,
        declaresTopology: Bool = true,
        showsPayload: Bool = true,
        logger: Logger = Logger(label: "warren.client"),
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
            logger: logger
        )
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

extension JobClient {
    /// Checks a request, declares what is missing, publishes, and waits for the confirm.
    func publish(_ request: EnqueueRequest) async throws -> EnqueuedJob {
        let now = now()
        try JobName.validate(request.name)
        try JobID.validate(request.id)
        try request.timeLimits.validate(job: request.name)
        try checkTimes(of: request, now: now)
        let message = try writer.message(
            payload: request.payload,
            EnvelopeWriter.Fields(
                id: request.id,
                name: request.name,
                lane: request.lane,
                eta: request.dueAt,
                expires: request.expiresAt,
                timeLimits: request.timeLimits,
                rootID: request.rootID,
                parentID: request.parentID,
                headers: request.headers,
                now: now
            )
        )
        let route = Route(queue: request.queue, lane: request.lane, dueAt: request.dueAt, topology: topology)
        let entry = SpoolEntry(route: route, message: message)
        return EnqueuedJob(
            id: request.id,
            name: request.name,
            queue: request.queue,
            lane: request.lane,
            dueAt: request.dueAt,
            expiresAt: request.expiresAt,
            isSpooled: try await sendOrSpool(entry, deadline: request.deadline)
        )
    }

    private func checkTimes(of request: EnqueueRequest, now: Date) throws(WarrenError) {
        if let expires = request.expiresAt, expires <= request.dueAt ?? now {
            throw WarrenError(
                .invalidExpiry,
                "The job '\(request.name.truncated(toBytes: 80))' would expire before it is due: no worker would ever start it."
            )
        }
        // Checked once more, because a middleware may have changed it.
        if let dueAt = request.dueAt { _ = try Timing.due(delay: nil, at: dueAt, now: now) }
    }

    /// Declares what is missing, publishes, and waits for the confirm.
    ///
    /// - Throws: ``WarrenError``.
    func send(_ entry: SpoolEntry, deadline: ContinuousClock.Instant) async throws {
        let (destination, throughLadder) = entry.route.destination(now: now())
        try await prepare(entry, throughLadder: throughLadder, deadline: deadline)
        do {
            try await transport.publish(entry.message, to: destination, mandatory: true, deadline: deadline)
        } catch  where error.code == .unroutable || error.code == .notFound {
            // Someone deleted the queue or an exchange since this client declared it.
            guard directory.forget(entry.route.queue) else { throw notEnqueued(entry, error) }
            try await prepare(entry, throughLadder: throughLadder, deadline: deadline)
            do {
                try await transport.publish(entry.message, to: destination, mandatory: true, deadline: deadline)
            } catch {
                throw notEnqueued(entry, error)
            }
        } catch {
            throw notEnqueued(entry, error)
        }
    }

    /// Declares what is missing for a job.
    func prepare(_ entry: SpoolEntry, throughLadder: Bool, deadline: ContinuousClock.Instant) async throws {
        try await directory.prepare(entry.route.queue, entry.route.lane, throughLadder: throughLadder, deadline: deadline)
    }

    private func notEnqueued(_ entry: SpoolEntry, _ error: AMQPError) -> WarrenError {
        let certainty =
            error.outcomeIsKnown ? "was not enqueued" : "may or may not have been enqueued"
        return WarrenError(
            .notEnqueued,
            "The job '\(entry.name.truncated(toBytes: 80))' (\(entry.id)) for the queue '\(entry.route.queue)' \(certainty)",
            underlying: error
        )
    }
}

extension JobClient {
    /// What sends the spooled jobs when the broker is back: put it into the program's `ServiceGroup`, or run it beside its work.
    ///
    /// Without it, or ``flushSpool(timeout:)``, they stay in the file.
    public var replayer: SpoolReplayer { SpoolReplayer(self) }

    /// Sends what is in the spool, and returns when all of it is at the broker; for programs that run no ``replayer``, and before their end.
    ///
    /// - Parameter timeout: How long to try.
    /// - Throws: ``WarrenError`` with `notEnqueued` if jobs are left when it has passed: they stay in the spool; `CancellationError`.
    public func flushSpool(timeout: Duration = JobClient.defaultTimeout) async throws {
        guard let spool else { return }
        let latest = Timing.instant(after: timeout)
        var backoff = Backoff(from: .milliseconds(50), to: .seconds(1))
        while spool.hasWaiting {
            try Task.checkCancellation()
            let replay = SpoolReplay(self, spool, stopping: Latch(), clock: ContinuousClock(), deadline: latest)
            guard let problem = await replay.run() else { continue }
            guard ContinuousClock.now < latest else {
                throw WarrenError(
                    .notEnqueued,
                    "\(spool.status.waiting) jobs still wait in the spool '\(spool.path)': the broker did not take them in time",
                    underlying: (problem as? WarrenError)?.broker ?? problem
                )
            }
            try await ContinuousClock().sleep(until: min(.now + backoff.next(), latest))
        }
    }

    /// Sends a job, or spools it if the broker can't take it now: the whole within the request's deadline.
    ///
    /// Returns whether it was spooled.
    func sendOrSpool(_ entry: SpoolEntry, deadline: ContinuousClock.Instant) async throws -> Bool {
        guard let spool else {
            try await send(entry, deadline: deadline)
            return false
        }
        // A job that no broker could take is the caller's to know, not the spool's to keep.
        try directory.check(entry.route.queue, entry.route.lane)
        // The disk gets what it needs, also on a busy machine; if it is slower, it gets a little more than the caller asked for.
        let left = max(.zero, ContinuousClock.now.duration(to: deadline))
        let reserve = min(Self.reserveForDisk, left / 4)
        var cause: AMQPError?
        if !spool.hasWaiting {
            do {
                try await send(entry, deadline: deadline - reserve)
                return false
            } catch let error as WarrenError {
                guard let broker = error.broker, broker.isRetriable else { throw error }
                cause = broker
            }
        }
        try await spool.append(entry, cause: cause, deadline: deadline + Self.graceForDisk)
        return true
    }

    private static let reserveForDisk: Duration = .milliseconds(200)
    private static let graceForDisk: Duration = .milliseconds(25)
}

/// A job on its way to the broker: what an ``EnqueueMiddleware`` sees and may change.
public struct EnqueueRequest: Sendable {
    /// The job's id.
    public var id: String
    /// The job's name.
    public let name: String
    /// The queue it goes to.
    public var queue: QueueName
    /// The lane of the queue.
    public var lane: Lane
    /// When it is due; `nil` for at once.
    public var dueAt: Date?
    /// After when it is not to be started; `nil` for never.
    public var expiresAt: Date?
    /// How long an attempt may take, where it isn't for the job's type to say.
    public var timeLimits: TimeLimits = .none
    /// The id of the job that enqueues this one.
    public var parentID: String?
    /// The id of the first job of the workflow; without it, the job's own.
    public var rootID: String?
    /// Headers to add.
    ///
    /// Those that the protocol needs can't be replaced.
    public var headers: FieldTable
    /// When to give up.
    public var deadline: ContinuousClock.Instant
    /// The payload: a JSON object.
    public let payload: Data
}

/// A job that the broker has taken, or the spool: what one needs to find it again.
public struct EnqueuedJob: Sendable, Hashable {
    /// The job's id.
    public let id: String
    /// The job's name.
    public let name: String
    /// The queue it went to.
    public let queue: QueueName
    /// The lane of the queue.
    public let lane: Lane
    /// When it is due; `nil` for at once.
    public let dueAt: Date?
    /// After when it is not started any more; `nil` for never.
    public let expiresAt: Date?
    /// Whether it is in the client's ``Spool``, because the broker couldn't take it; its ``JobClient/replayer`` sends it later.
    public let isSpooled: Bool

    /// A handle with these fields.
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
