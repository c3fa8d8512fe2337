public import AMQP
public import EmbeddedBroker
public import Foundation
import Logging
import ServiceLifecycle
import Testing
public import Warren

/// What one test of jobs works with: a broker in this process, a clock that stands still, and a client.
///
/// The trait `.embeddedBroker` makes one for each test; ``current`` is it. A test of its own making may also have several.
public final class TestBench: Sendable {
    /// The broker, empty at first: give it to the code under test in RabbitMQ's place.
    public let broker: EmbeddedBroker
    /// The time of broker and workers; it moves when the test says so.
    public let clock: VirtualClock
    /// The application's queues, as far as they differ from the default.
    public let topology: Topology
    /// A client of the broker: give it to the code under test.
    public let jobs: JobClient

    @TaskLocal private static var bound: TestBench?

    /// A bench with an empty broker.
    ///
    /// - Parameter topology: The application's own, if its queues differ from the default.
    /// - Parameter version: The RabbitMQ that the broker behaves as.
    public init(topology: Topology = Topology(), version: BrokerVersion = BrokerVersion(4, 3)) {
        let clock = VirtualClock()
        self.clock = clock
        self.topology = topology
        broker = EmbeddedBroker(version: version, clock: clock)
        jobs = JobClient(broker, topology: topology, now: { clock.date })
    }

    /// The bench of the test that runs.
    ///
    /// A test without the trait `.embeddedBroker` has none: that is a mistake in the test, and ends it.
    public static var current: TestBench {
        guard let bound else {
            preconditionFailure("This test has no bench: give it, or its suite, the trait .embeddedBroker.")
        }
        return bound
    }

    /// The wall-clock time by ``clock``.
    public var now: Date { clock.date }

    /// A worker on this broker, in this bench's time.
    ///
    /// It works on the queues of its handlers' jobs, one job at a time, unless told otherwise.
    ///
    /// - Parameter middleware: The application's own: a test of a handler is one of its middleware too.
    public func worker(
        queues: [WorkerQueue] = [],
        concurrency: Int = 1,
        settings: WorkerSettings = WorkerSettings(name: "test"),
        middleware: [any JobMiddleware] = [],
        @HandlerBuilder handlers: () -> [JobRegistration]
    ) -> Worker {
        let registrations = handlers()
        var settings = settings
        // Parked jobs are looked for once: from then on nothing but jobs moves the clock.
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
    /// The message is made as `enqueue` makes it, and decoded as a worker decodes it. Retries are decided, and not made; Celery calls this
    /// `apply`.
    ///
    /// - Parameter attempt: Which attempt the handler is to see, from 1.
    /// - Parameter headers: More headers, which the handler finds in its context.
    /// - Throws: `WarrenError` if the worker has no handler for the job. What the handler throws is in the ``Attempt``.
    public func performJob<Payload: Job>(
        _ job: Payload,
        attempt: Int = 1,
        headers: FieldTable = FieldTable(),
        on worker: Worker
    ) async throws -> Attempt {
        // A broker for this one message: nothing of it is seen on the bench.
        let aside = EmbeddedBroker(clock: clock)
        let jobs = JobClient(aside, topology: topology, now: { [clock] in clock.date })
        try await jobs.enqueue(job, headers: headers)
        guard var message = aside.storedMessages(in: Payload.lane.queue(of: Payload.queue)).first?.message else {
            preconditionFailure("What was enqueued is in its queue.")
        }
        message.properties.headers?["retries"] = .integer(Int64(attempt - 1))
        let result = try await worker.attempt(message, in: Payload.queue, lane: Payload.lane)
        return Attempt(outcome: result.outcome, error: result.error)
    }

    /// The jobs that could not succeed, with reason, error and history; of one queue, or of all.
    public func deadLetters(of queue: QueueName? = nil) -> [DeadLetter] {
        let names = queue.map { [$0.dead] } ?? broker.queueNames.filter { $0.hasSuffix(".dead") }
        return names.flatMap { name in
            broker.readyMessages(in: name).map { DeadLetter($0, of: QueueName(String(name.dropLast(".dead".count)))) }
        }
    }

    /// Runs a worker until nothing is left for it to do.
    ///
    /// All jobs that are due are run; then the clock moves to when the next is, and so on, until no job is on its way to a queue any more:
    /// delayed jobs and retries, years away or not, run at once and in their order. What handlers enqueue is run too.
    ///
    /// A job that retries without end never lets it return: give the test a time limit, or this a `time`.
    ///
    /// - Parameter worker: One of ``worker(queues:concurrency:settings:middleware:handlers:)``, or of the application's own making with this
    ///   bench's broker, ``clock`` and `now`.
    /// - Parameter time: How much time to let pass; afterwards the clock stands just there. `nil` for as much as the jobs need.
    /// - Returns: What became of the deliveries since the worker was made.
    /// - Throws: What ``Warren/Worker/run()`` throws.
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
                // Cancelled if the worker fails, whose error is the one to be thrown.
                try? await letWork(worker, until: time.map { clock.now.advanced(by: $0) })
                await group.triggerGracefulShutdown()
            }
            try await tasks.waitForAll()
        }
        return worker.counts
    }

    private func letWork(_ worker: Worker, until end: VirtualClock.Instant?) async throws {
        while !worker.lanes.allSatisfy({ broker.consumerCount(of: $0) > 0 }) { try await step() }
        while true {
            while !isQuiet(worker) { try await step() }
            guard let next = clock.nextEvent, worker.delayedDeliveries > 0 || isAnyDelayed else { break }
            if let end, next > end { break }
            clock.advanceToNextEvent()
        }
        if let end { clock.advance(by: clock.now.duration(to: end)) }
        while !isQuiet(worker) { try await step() }
    }

    /// Lets other tasks go on; nothing tells when they have.
    private func step() async throws {
        try Task.checkCancellation()
        await Task.yield()
    }

    /// Whether nothing happens until the clock moves.
    private func isQuiet(_ worker: Worker) -> Bool {
        let held = worker.delayedDeliveries
        // What holds a delivery sleeps until its time, and so does what looks after each queue.
        return broker.isQuiet(exceptFor: held) && clock.sleeperCount >= held + worker.queueNames.count
    }

    /// Whether a job waits on the delay ladder.
    private var isAnyDelayed: Bool {
        (0..<DelayLadder.levelCount).contains { !broker.readyMessages(in: DelayLadder.name(ofLevel: $0)).isEmpty }
    }

    // MARK: Looking at it

    /// The jobs of a kind that wait at the broker, due now or later, retries included; not those that run, are dead or parked.
    ///
    /// - Throws: ``EnvelopeError`` if a job of this name has another payload.
    public func enqueued<Payload: Job>(_ type: Payload.Type = Payload.self) throws -> [PendingJob<Payload>] {
        try waiting().compactMap { waiting in
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

    /// A job of whatever kind that waits.
    struct Waiting {
        var envelope: Envelope
        var queue: QueueName
        var lane: Lane
    }

    func waiting() -> [Waiting] {
        broker.queueNames.flatMap { name -> [Waiting] in
            guard !name.hasSuffix(".dead"), !name.hasSuffix(".parked") else { return [] }
            return broker.storedMessages(in: name).compactMap { message, destination in
                guard let envelope = try? Envelope(decoding: message) else { return nil }
                // On the ladder the routing key ends with the destination.
                let target = DelayLadder.destination(fromRoutingKey: destination.routingKey) ?? destination.routingKey
                let (queue, lane) = QueueName.split(target)
                return Waiting(envelope: envelope, queue: queue, lane: lane)
            }
        }
    }

    /// The queues that still have consumers or unsettled deliveries.
    ///
    /// The trait checks it after each test. Jobs that are still enqueued are no leak: a test may be about just that.
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

    // MARK: Inside

    /// Runs `body` with this bench as ``current``.
    func bind<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        try await Self.$bound.withValue(self, operation: body)
    }
}

/// What came of one attempt at a job.
public struct Attempt: Sendable {
    /// What would become of the job.
    public var outcome: Outcome
    /// What the handler, or a middleware, threw.
    public var error: (any Error)?

    /// Throws what the handler threw.
    public func get() throws { if let error { throw error } }
}

/// A job that waits at the broker.
public struct PendingJob<Payload: Job>: Sendable {
    /// The job's id.
    public var id: String
    /// What it says.
    public var payload: Payload
    /// The queue that it is in, or will be in when it is due.
    public var queue: QueueName
    /// The queue's lane.
    public var lane: Lane
    /// When it is due; `nil` for at once.
    public var dueAt: Date?
    /// Which attempt comes next, from 1.
    public var attempt: Int
    /// Its message's headers.
    public var headers: FieldTable
}

/// What a test left behind that its program would hold for ever.
public struct Leak: Sendable, Hashable, CustomStringConvertible {
    /// The broker's queue.
    public var queue: String
    /// How many consumers of it are still registered.
    public var consumers: Int
    /// How many of its deliveries were neither acknowledged nor given back.
    public var unsettled: Int

    /// What leaked, and what to do.
    public var description: String {
        """
        The test left \(consumers) consumer(s) and \(unsettled) unsettled delivery(ies) on the queue '\(queue)': end its workers, close its \
        streams, and settle what it got.
        """
    }
}

extension QueueName {
    /// The queue and lane that one of the broker's queues stands for.
    fileprivate static func split(_ name: String) -> (QueueName, Lane) {
        for lane in Lane.all where lane != .normal && name.hasSuffix("." + lane.name) {
            return (QueueName(String(name.dropLast(lane.name.count + 1))), lane)
        }
        return (QueueName(name), .normal)
    }
}
