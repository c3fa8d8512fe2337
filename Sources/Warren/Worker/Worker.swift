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
/// let worker = Worker(.rabbitMQ("amqp://localhost"), queues: ["emails"], concurrency: 16) {
///     Handler(SendEmail.self) { email, context in try await mailer.send(email) }
/// }
/// try await worker.run()
/// ```
///
/// Every job is run at least once: it is acknowledged only when it succeeded, or when the broker has confirmed its retry or dead letter.
/// A worker survives the loss of its connection and the deletion of its queues: it declares and consumes again, with growing pauses.
///
/// Shutdown, by a `ServiceGroup` or by cancelling the task of ``run()``, consumes no more, hands back what has not begun, lets running
/// jobs finish until ``WorkerSettings/shutdownTimeout``, cancels them, and hands back those that still don't return. It never counts
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
    let life = Mutex(Life.waiting)
    let liveness = Mutex(Liveness())

    /// A worker; nothing happens until ``run()``.
    ///
    /// - Parameter transport: The broker. The worker doesn't close it.
    /// - Parameter queues: What to work on, each with its own settings if need be.
    /// - Parameter concurrency: How many jobs of a queue run at once, where the queue doesn't say.
    /// - Parameter middleware: Wraps each execution; the first is the outermost.
    /// - Parameter now: The wall clock, against which `eta` and `expires` are compared.
    /// - Parameter handlers: What the worker can do: a ``Handler`` or ``JobHandler`` for each kind of job.
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

    /// What became of the deliveries so far.
    public var counts: WorkerCounts { counters.counts }

    /// Works until it is told to stop, by graceful shutdown or by cancellation of the calling task.
    ///
    /// Cancellation is the impatient way: running jobs are cancelled at once.
    ///
    /// - Throws: ``WarrenError``: at the start, if queues or handlers make no sense; later, if a queue can't be consumed for a reason that
    ///   doesn't pass by itself. Then the worker has shut down as if told to. A job that doesn't end at its hard
    ///   time limit makes it throw `hardTimeLimit`; its handler may still be running then, and ends only with the process.
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
                // A shield: a cancelled task can't wait, and shutdown has to, for jobs to end. `stop` tells the session of it.
                try await Task { try await session.run() }.value
            } onGracefulShutdown: {
                session.stop(isImpatient: false)
            }
        } onCancel: {
            session.stop(isImpatient: true)
        }
    }
}

extension Worker {
    /// Works until the process gets SIGTERM, SIGINT or SIGHUP, then shuts down in order; at a second signal, at once.
    ///
    /// At once means that running jobs are cancelled and handed back, and that what they do half a second later is not waited for.
    /// SIGQUIT means that from the start.
    ///
    /// For a program that is nothing but a worker. A program with more services puts the worker into its own `ServiceGroup`.
    ///
    /// - Throws: What ``run()`` throws.
    public func runService() async throws {
        try await SignalledGroup([self], logger: logger).run()
    }
}

extension Worker {
    /// How the worker is now.
    ///
    /// It looks at what is known here and asks the broker nothing. What it finds it remembers, for `isLive`: so call it every few seconds,
    /// as a health file or a probe does.
    ///
    /// - Parameter now: The present.
    public func health(at now: ContinuousClock.Instant = .now) -> WorkerHealth {
        let life = life.withLock { $0 }
        let transport = transport.health
        let consumers = life.session?.consumerHealth ?? []
        let isInOrder = transport.isAlive(at: now) && !consumers.isEmpty && consumers.allSatisfy(\.isInOrder)
        let phase = phase(life)
        let wasLately = liveness.withLock { $0.note(isInOrder: isInOrder, at: now, grace: settings.livenessGrace) }
        let problems = phase == .working ? problems(transport, consumers, at: now) : [Self.sentence(phase)]
        return WorkerHealth(
            worker: settings.name,
            at: self.now(),
            phase: phase,
            isReady: phase == .working && problems.isEmpty,
            isLive: phase == .working ? wasLately : phase != .failed,
            problems: problems,
            publishing: "\(transport.publishing)",
            consuming: "\(transport.consuming)",
            secondsSinceLastReceived: transport.lastReceived.map { $0.duration(to: now) / .seconds(1) },
            consumers: consumers,
            runningJobs: life.session?.runningJobs ?? 0
        )
    }

    private func phase(_ life: Life) -> WorkerHealth.Phase {
        switch life {
        case .waiting: .waiting
        case .running(let session): session.isStopping ? .stopping : .working
        case .over(let isFailure): isFailure ? .failed : .stopped
        }
    }

    private func problems(
        _ transport: TransportHealth,
        _ consumers: [ConsumerHealth],
        at now: ContinuousClock.Instant
    ) -> [String] {
        var problems: [String] = []
        if !transport.consuming.isConnected {
            problems.append("The connection that consumes is \(transport.consuming).")
        } else if !transport.isAlive(at: now), let heard = transport.lastReceived {
            problems.append("Nothing was heard of the broker for \(heard.duration(to: now)).")
        }
        for consumer in consumers where !consumer.isInOrder {
            problems.append("The lane '\(consumer.lane)' of the queue '\(consumer.queue)' is not being consumed.")
        }
        return problems
    }

    private static func sentence(_ phase: WorkerHealth.Phase) -> String {
        switch phase {
        case .waiting: "The worker has not started yet."
        case .working: "The worker works."
        case .stopping: "The worker is stopping."
        case .stopped: "The worker has stopped."
        case .failed: "The worker could not go on and has stopped."
        }
    }

    /// Where a worker is in its life.
    enum Life: Sendable {
        case waiting
        case running(WorkerSession)
        case over(isFailure: Bool)

        var session: WorkerSession? {
            guard case .running(let session) = self else { return nil }
            return session
        }
    }
}

/// What a test needs to know and do with a worker, apart from running it.
extension Worker {
    /// The queues it works on.
    package var queueNames: [QueueName] { queues.map(\.name) }

    /// The queues of the broker that it consumes: each queue's lanes.
    package var lanes: [String] {
        queues.flatMap { queue in
            topology.configuration(of: queue.name).lanes.map { $0.queue(of: queue.name) }
        }
    }

    /// How many deliveries wait in it until they are due, by its clock.
    package var delayedDeliveries: Int {
        life.withLock { if case .running(let session) = $0 { session.delayedDeliveries } else { 0 } }
    }

    /// Attempts a job in the calling task, without a broker: through the worker's middleware, within no time limit.
    ///
    /// Returns what would become of the job, and the error it failed with.
    ///
    /// - Throws: ``WarrenError`` if the worker's handlers make no sense, `invalidConfiguration` if none is for this job;
    ///   ``EnvelopeError`` if the message is no job.
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
        let ending = await JobExecution(middleware: middleware).run(registration, context)
        var random = SystemRandomNumberGenerator()
        let outcome = Outcome.decide(
            ending,
            envelope: envelope,
            policy: registration.retry,
            expiryPolicy: registration.expiryPolicy,
            now: now(),
            using: &random
        )
        for layer in middleware { layer.settled(context, outcome: outcome) }
        return (outcome, ending.error)
    }
}
