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
