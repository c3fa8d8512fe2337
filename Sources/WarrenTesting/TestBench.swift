public import AMQP
public import EmbeddedBroker
public import Foundation
import Logging
import ServiceLifecycle
import Testing
public import Warren

/// The environment of one test of jobs: a broker in this process, a clock that stands still, and a client.
///
/// The trait `.embeddedBroker` makes one for each test, available as ``current``. A test can also make its own, or
/// several.
public final class TestBench: Sendable {
    /// The broker, empty at first: pass it to the code under test in place of RabbitMQ.
    public let broker: EmbeddedBroker
    /// The clock of the broker and the workers, which only the test moves.
    public let clock: VirtualClock
    /// The application's topology.
    public let topology: Topology
    /// A client of the broker: pass it to the code under test.
    public let jobs: JobClient

    @TaskLocal private static var bound: TestBench?

    /// A bench with an empty broker.
    ///
    /// - Parameter topology: The application's topology, if it differs from the default.
    /// - Parameter version: The version of RabbitMQ to behave as.
    public init(topology: Topology = Topology(), version: BrokerVersion = BrokerVersion(4, 3)) {
        let clock = VirtualClock()
        self.clock = clock
        self.topology = topology
        broker = EmbeddedBroker(version: version, clock: clock)
        jobs = JobClient(broker, topology: topology, now: { clock.date })
    }

    /// The bench of the running test.
    ///
    /// In a test without the trait `.embeddedBroker` this is a programming error, which ends the process.
    public static var current: TestBench {
        guard let bound else {
            preconditionFailure("This test has no bench: add the trait .embeddedBroker to it or to its suite.")
        }
        return bound
    }

    /// The wall-clock time of ``clock``.
    public var now: Date { clock.date }

    /// Makes a worker on this bench's broker and clock.
    ///
    /// - Parameter queues: The queues to work on; by default those of the handlers' jobs.
    /// - Parameter concurrency: The number of jobs to run at a time.
    /// - Parameter settings: The worker's settings.
    /// - Parameter middleware: The application's middleware, so that a test of a handler covers it too.
    /// - Parameter handlers: The handlers.
    public func worker(
        queues: [WorkerQueue] = [],
        concurrency: Int = 1,
        settings: WorkerSettings = WorkerSettings(name: "test"),
        middleware: [any JobMiddleware] = [],
        @HandlerBuilder handlers: () -> [JobRegistration]
    ) -> Worker {
        let registrations = handlers()
        var settings = settings
        // The worker looks for parked jobs only once, so that afterwards only jobs move the clock.
        settings.unparkingInterval = .seconds(100 * 365 * 86_400)
        var own: [QueueName] = []
        for queue in registrations.map(\.queue) where !own.contains(queue) { own.append(queue) }
        return Worker(
            broker,
            queues: queues.isEmpty ? own.map { WorkerQueue($0) } : queues,
            concurrency: concurrency,
            topology: topology,
            settings: settings,
            middleware: middleware,
            logger: Logger(label: "warren.testing") { _ in SwiftLogNoOpLogHandler() },
            clock: clock,
            now: { [clock] in clock.date },
            handlers: { registrations }
        )
    }

    // MARK: Running jobs

    /// Attempts a job once in the calling task, through the worker's middleware, without enqueueing it.
    ///
    /// The message is encoded as by `enqueue` and decoded as by a worker. Retries are decided but not enqueued. Celery
    /// calls this `apply`.
    ///
    /// - Parameter job: The job.
    /// - Parameter attempt: The number of the attempt that the handler sees, from 1.
    /// - Parameter headers: Additional headers, which the handler finds in its context.
    /// - Parameter worker: The worker whose handlers and middleware are used.
    /// - Returns: The outcome, with the error of the handler or middleware.
    /// - Throws: `WarrenError` if the worker has no handler for the job.
    public func performJob<Payload: Job>(
        _ job: Payload,
        attempt: Int = 1,
        headers: FieldTable = FieldTable(),
        on worker: Worker
    ) async throws -> Attempt {
        // A separate broker for this one message, so that nothing of it is visible on the bench.
        let aside = EmbeddedBroker(clock: clock)
        let jobs = JobClient(aside, topology: topology, now: { [clock] in clock.date })
        try await jobs.enqueue(job, headers: headers)
        guard var message = aside.storedMessages(in: Payload.lane.queue(of: Payload.queue)).first?.message else {
            preconditionFailure("The enqueued job is in its queue.")
        }
        message.properties.headers?["retries"] = .integer(Int64(attempt - 1))
        let result = try await worker.attempt(message, in: Payload.queue, lane: Payload.lane)
        return Attempt(outcome: result.outcome, error: result.error)
    }

    /// Runs a worker until it has nothing left to do.
    ///
    /// It runs all due jobs, moves the clock to the time at which the next one is due, and repeats this until no job is
    /// on its way to a queue. Delayed jobs and retries, even those years away, run at once and in the order of their
    /// times. Jobs that handlers enqueue run too.
    ///
    /// It never returns if a job retries endlessly: set a time limit for the test, or pass a `time`.
    ///
    /// - Parameter worker: A worker from ``worker(queues:concurrency:settings:middleware:handlers:)``, or one that the
    ///   application makes with this bench's broker, ``clock`` and ``now``.
    /// - Parameter time: The time to let pass, by exactly which the clock is moved; `nil` for as much as the jobs need.
    /// - Returns: The counts of outcomes since the worker was made.
    /// - Throws: The error of `Worker.run()`.
    @discardableResult
    public func drainQueues(_ worker: Worker, for time: Duration? = nil) async throws -> WorkerCounts {
        let service = ServiceGroupConfiguration.ServiceConfiguration(
            service: worker,
            successTerminationBehavior: .gracefullyShutdownGroup
        )
        let quiet = Logger(label: "warren.testing") { _ in SwiftLogNoOpLogHandler() }
        let group = ServiceGroup(configuration: .init(services: [service], logger: quiet))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask { [self] in
                // Cancelled if the worker fails: its error is the one to throw.
                try? await runUntilIdle(worker, until: time.map { clock.now.advanced(by: $0) })
                await group.triggerGracefulShutdown()
            }
            try await tasks.waitForAll()
        }
        return worker.counts
    }

    private func runUntilIdle(_ worker: Worker, until end: VirtualClock.Instant?) async throws {
        while !worker.lanes.allSatisfy({ broker.consumerCount(of: $0) > 0 }) { try await yieldToOtherTasks() }
        while true {
            while !isQuiet(worker) { try await yieldToOtherTasks() }
            guard let next = clock.nextEvent, worker.delayedDeliveries > 0 || hasDelayedJob else { break }
            if let end, next > end { break }
            clock.advanceToNextEvent()
        }
        if let end { clock.advance(by: clock.now.duration(to: end)) }
        while !isQuiet(worker) { try await yieldToOtherTasks() }
    }

    /// Lets other tasks go on; nothing signals that they have.
    private func yieldToOtherTasks() async throws {
        try Task.checkCancellation()
        await Task.yield()
    }

    /// Returns whether nothing more happens until the clock moves.
    private func isQuiet(_ worker: Worker) -> Bool {
        let delayed = worker.delayedDeliveries
        // Each delayed delivery has a task that sleeps until it is due, and each queue has a sleeping monitor.
        return broker.isQuiet(exceptFor: delayed) && clock.sleeperCount >= delayed + worker.queueNames.count
    }

    /// True if a job is on the delay ladder.
    private var hasDelayedJob: Bool {
        (0..<DelayLadder.levelCount).contains { !broker.readyMessages(in: DelayLadder.name(ofLevel: $0)).isEmpty }
    }

    // MARK: Inspecting the broker

    /// The pending jobs of a type, due now or later, including retries; running, dead and parked jobs are left out.
    ///
    /// - Parameter type: The job's type.
    /// - Returns: The jobs, queue by queue, each in the order of its queue.
    /// - Throws: `EnvelopeError` if a job of this name has another payload.
    public func enqueued<Payload: Job>(_ type: Payload.Type = Payload.self) throws -> [PendingJob<Payload>] {
        try waitingJobs().compactMap { waiting in
            guard waiting.envelope.name == Payload.name else { return nil }
            return PendingJob(
                id: waiting.envelope.id,
                payload: try waiting.envelope.payload(as: Payload.self),
                queue: waiting.queue,
                lane: waiting.lane,
                dueAt: waiting.envelope.eta,
                attempt: waiting.envelope.attempt,
                headers: waiting.envelope.headers
            )
        }
    }

    /// A pending job of any type.
    struct WaitingJob {
        var envelope: Envelope
        var queue: QueueName
        var lane: Lane
    }

    /// The pending jobs of all types.
    func waitingJobs() -> [WaitingJob] {
        broker.queueNames.flatMap { name -> [WaitingJob] in
            guard !name.hasSuffix(".dead"), !name.hasSuffix(".parked") else { return [] }
            return broker.storedMessages(in: name).compactMap { message, destination in
                guard let envelope = try? Envelope(decoding: message) else { return nil }
                // On the delay ladder the routing key ends with the destination.
                let target = DelayLadder.destination(fromRoutingKey: destination.routingKey) ?? destination.routingKey
                let (queue, lane) = QueueName.split(target)
                return WaitingJob(envelope: envelope, queue: queue, lane: lane)
            }
        }
    }

    /// The jobs that failed for good, with reason, error and history.
    ///
    /// - Parameter queue: The queue; all queues by default.
    public func deadLetters(of queue: QueueName? = nil) -> [DeadLetter] {
        let names = queue.map { [$0.dead] } ?? broker.queueNames.filter { $0.hasSuffix(".dead") }
        return names.flatMap { name in
            broker.readyMessages(in: name).map { DeadLetter($0, of: QueueName(String(name.dropLast(".dead".count)))) }
        }
    }

    /// The queues that still have consumers or unsettled deliveries.
    ///
    /// The trait `.embeddedBroker` checks them after each test. A job that is still enqueued is not a leak, because a
    /// test may expect it.
    public func leaks() -> [Leak] {
        broker.queueNames.compactMap { queue in
            let leak = Leak(
                queue: queue,
                consumers: broker.consumerCount(of: queue),
                unsettled: broker.unsettledCount(of: queue)
            )
            return leak.consumers + leak.unsettled > 0 ? leak : nil
        }
    }

    /// Runs `body` with this bench as ``current``.
    func bind<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        try await Self.$bound.withValue(self, operation: body)
    }
}

/// The result of one attempt at a job.
public struct Attempt: Sendable {
    /// The outcome that a worker would settle the job with.
    public var outcome: Outcome
    /// The error that the handler or a middleware threw.
    public var error: (any Error)?

    /// Throws ``error``, if there is one.
    public func get() throws { if let error { throw error } }
}

/// A job waiting at the broker.
public struct PendingJob<Payload: Job>: Sendable {
    /// The job's id.
    public var id: String
    /// The decoded payload.
    public var payload: Payload
    /// The queue that holds the job, or will hold it once it is due.
    public var queue: QueueName
    /// The queue's lane.
    public var lane: Lane
    /// The time at which the job is due; `nil` if it is due at once.
    public var dueAt: Date?
    /// The number of the next attempt, from 1.
    public var attempt: Int
    /// The message's headers.
    public var headers: FieldTable
}

/// A queue whose consumers or deliveries a test left open.
public struct Leak: Sendable, Hashable, CustomStringConvertible {
    /// The queue's name at the broker.
    public var queue: String
    /// The number of consumers still registered.
    public var consumers: Int
    /// The number of deliveries that were neither acknowledged nor requeued.
    public var unsettled: Int

    /// The leak, and its remedy.
    public var description: String {
        """
        The test left \(consumers) consumer(s) and \(unsettled) unsettled delivery(ies) on the queue '\(queue)': stop its \
        workers, close its streams, and settle its deliveries.
        """
    }
}

extension QueueName {
    /// The job queue and priority lane that a queue of the broker stands for.
    fileprivate static func split(_ name: String) -> (QueueName, Lane) {
        for lane in Lane.all where lane != .normal && name.hasSuffix("." + lane.name) {
            return (QueueName(String(name.dropLast(lane.name.count + 1))), lane)
        }
        return (QueueName(name), .normal)
    }
}
