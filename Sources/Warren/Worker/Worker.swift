public import AMQP
public import Logging
public import ServiceLifecycle
import Synchronization

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// Takes jobs from queues and runs them.
///
/// ```swift
/// let broker = try await Broker.open("amqp://localhost")
/// let worker = Worker(broker, queues: ["emails"], concurrency: 16) {
///     Handler(SendEmail.self) { email, context in try await mailer.send(email) }
/// }
/// try await worker.runService()
/// await broker.close()
/// ```
///
/// Every job runs at least once: it is acknowledged only when it has succeeded, or when the broker has confirmed its
/// retry or dead letter. A worker survives the loss of its connection and the deletion of its queues: it declares and
/// consumes again, with growing pauses.
///
/// Shutdown begins with a `ServiceGroup`'s graceful shutdown or with the cancellation of the task of ``run()``. The
/// worker stops consuming, requeues what it has not started, lets running jobs finish until
/// ``WorkerSettings/shutdownTimeout``, cancels them, and requeues those that still don't return. Shutdown never counts
/// as a failure of a job.
public final class Worker: Service {
    let transport: any Transport
    let queues: [WorkerQueue]
    let concurrency: Int
    let topology: Topology
    let settings: WorkerSettings
    let registrations: [JobRegistration]
    let middleware: [any JobMiddleware]
    let logger: Logger
    let clock: any Clock<Duration>
    let now: @Sendable () -> Date
    let counters = WorkerCounters()
    private let life = Mutex(Life.waiting)

    /// Creates a worker; nothing happens until ``run()``.
    ///
    /// - Parameters:
    ///   - transport: The broker. The worker doesn't close it.
    ///   - queues: The queues to work on, each with its own settings if need be.
    ///   - concurrency: The number of jobs of one queue that run at once, unless the queue has its own setting.
    ///   - topology: The queues that differ from the default; the same value as in the clients.
    ///   - settings: The worker's behaviour.
    ///   - middleware: Wraps each execution; the first is the outermost.
    ///   - logger: Receives the worker's log; the worker adds its name as metadata.
    ///   - clock: Measures pauses, time limits and the shutdown timeout.
    ///   - now: The wall clock, with which `eta` and `expires` are compared.
    ///   - handlers: A ``Handler`` or ``JobHandler`` for each kind of job.
    public init(
        _ transport: some Transport,
        queues: [WorkerQueue],
        concurrency: Int = 16,
        topology: Topology = Topology(),
        settings: WorkerSettings = WorkerSettings(),
        middleware: [any JobMiddleware] = [],
        logger: Logger = Logger(label: "warren.worker"),
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Date = { Date() },
        @HandlerBuilder handlers: () -> [JobRegistration]
    ) {
        self.transport = transport
        self.queues = queues
        self.concurrency = concurrency
        self.topology = topology
        self.settings = settings
        self.registrations = handlers()
        self.middleware = middleware
        var logger = logger
        logger[metadataKey: LogKey.worker] = "\(settings.name)"
        self.logger = logger
        self.clock = clock
        self.now = now
    }

    /// The numbers of deliveries so far, by outcome.
    public var counts: WorkerCounts { counters.counts }

    /// Works until graceful shutdown or until the calling task is cancelled.
    ///
    /// Cancellation is the impatient way: running jobs are cancelled at once.
    ///
    /// A queue that can't be consumed, for whatever reason, is tried again, is logged and makes the worker's
    /// ``health(at:)`` not ready; the other queues are worked on.
    ///
    /// - Throws: ``WarrenError``: at the start, if queues or handlers make no sense. If a job doesn't end at its hard
    ///   time limit, the error is `hardTimeLimit`, after a graceful shutdown; the job's handler may still be running
    ///   then, and ends only with the process.
    public func run() async throws {
        let session = try WorkerSession(self)
        life.withLock { $0 = .running(session) }
        do {
            try await run(session)
            life.withLock { $0 = .over(isFailure: false) }
        } catch {
            life.withLock { $0 = .over(isFailure: true) }
            throw error
        }
    }

    private func run(_ session: WorkerSession) async throws {
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                // A shield: shutdown has to wait for jobs to end, and a cancelled task can't wait. `stop` reaches the
                // session instead.
                try await Task { try await session.run() }.value
            } onGracefulShutdown: {
                session.stop(isImpatient: false)
            }
        } onCancel: {
            session.stop(isImpatient: true)
        }
    }

    /// Works until the process receives SIGTERM, SIGINT or SIGHUP, then shuts down gracefully; at a second signal, at
    /// once.
    ///
    /// At once means that running jobs are cancelled and requeued, and that handlers still running half a second later
    /// are abandoned. SIGQUIT means that from the start.
    ///
    /// For a program that is nothing but a worker. A program with more services puts the worker into its own
    /// `ServiceGroup`.
    ///
    /// - Throws: The error that ``run()`` throws.
    public func runService() async throws {
        try await SignalledGroup([self], logger: logger).run()
    }
}

// MARK: Health

extension Worker {
    /// A worker's stage of life.
    private enum Life: Sendable {
        case waiting
        case running(WorkerSession)
        case over(isFailure: Bool)

        var session: WorkerSession? {
            guard case .running(let session) = self else { return nil }
            return session
        }

        var phase: WorkerHealth.Phase {
            switch self {
            case .waiting: .waiting
            case .running(let session): session.isStopping ? .stopping : .working
            case .over(let isFailure): isFailure ? .failed : .stopped
            }
        }
    }

    /// The worker's health now.
    ///
    /// It is found locally, without a question to the broker.
    ///
    /// - Parameter now: The present.
    public func health(at now: ContinuousClock.Instant = .now) -> WorkerHealth {
        let life = life.withLock { $0 }
        let phase = life.phase
        let transport = transport.health
        let consumers = life.session?.consumerHealth ?? []
        let problems =
            phase == .working
            ? Self.problems(transport, consumers, at: now) + (life.session?.unstoredOutcomes ?? []) : [phase.sentence]
        return WorkerHealth(
            worker: settings.name,
            at: self.now(),
            phase: phase,
            isReady: phase == .working && problems.isEmpty,
            isLive: phase != .failed,
            problems: problems,
            publishing: "\(transport.publishing)",
            consuming: "\(transport.consuming)",
            secondsSinceLastReceived: transport.lastReceived.map { $0.duration(to: now) / .seconds(1) },
            consumers: consumers,
            runningJobs: life.session?.runningJobs ?? 0
        )
    }

    private static func problems(
        _ transport: TransportHealth,
        _ consumers: [ConsumerHealth],
        at now: ContinuousClock.Instant
    ) -> [String] {
        var problems: [String] = []
        if !transport.consuming.isConnected {
            problems.append("The consuming connection is \(transport.consuming).")
        } else if !transport.isAlive(at: now), let received = transport.lastReceived {
            problems.append("The broker has sent nothing for \(received.duration(to: now)).")
        }
        for consumer in consumers where !consumer.isHealthy {
            let reason = consumer.problem.map { ": \($0)" } ?? "."
            problems.append(
                "The lane '\(consumer.lane)' of the queue '\(consumer.queue)' is not being consumed\(reason)"
            )
        }
        return problems
    }
}

// MARK: Testing

extension Worker {
    /// The queues it works on.
    package var queueNames: [QueueName] { queues.map(\.name) }

    /// The queues at the broker that it consumes: one for each priority lane of each queue.
    package var lanes: [String] {
        queues.flatMap { queue in
            topology.configuration(of: queue.name).lanes.map { $0.queue(of: queue.name) }
        }
    }

    /// The number of deliveries that wait in it until they are due, by its clock.
    package var delayedDeliveries: Int {
        life.withLock { $0.session?.delayedDeliveries ?? 0 }
    }

    /// Attempts a job in the calling task, without a broker: through the worker's middleware, without time limits.
    ///
    /// Returns the outcome that the job would have, and the error it failed with.
    ///
    /// - Throws: ``WarrenError`` if the worker's handlers make no sense, `invalidConfiguration` if none is for this
    ///   job; ``EnvelopeError`` if the message is not a job.
    package func attempt(
        _ message: Message,
        in queue: QueueName,
        lane: Lane
    ) async throws -> (outcome: Outcome, error: (any Error)?) {
        let registry = try JobRegistry(registrations)
        let envelope = try Envelope(decoding: message)
        guard let registration = registry[envelope.name] else {
            throw WarrenError(
                .invalidConfiguration,
                "The worker has no handler for the job '\(envelope.name.truncated(toBytes: 80))': give it one."
            )
        }
        let context = JobContext(
            envelope: envelope,
            queue: queue,
            lane: lane,
            worker: settings.name,
            maximumAttempts: registration.retry.attempts,
            logger: logger
        )
        let result = await Attempt(registration, context, middleware: middleware).run()
        var random = SystemRandomNumberGenerator()
        let outcome = Outcome.decide(
            result,
            envelope: envelope,
            policy: registration.retry,
            expiryPolicy: registration.expiryPolicy,
            now: now(),
            using: &random
        )
        for layer in middleware { layer.settled(context, outcome: outcome) }
        return (outcome, result.error)
    }
}
