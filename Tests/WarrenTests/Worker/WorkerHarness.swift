import AMQP
import EmbeddedBroker
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@testable import Warren

/// A job for tests of the worker.
struct Probe: Job {
    static let name = "tests.probe"
    static let queue: QueueName = "probes"
    static let retry: RetryPolicy = .fixed(.seconds(2), attempts: 3)

    var number: Int
}

struct ProbeError: Error {}

/// A broker with everything declared and a worker on it, both on one clock that stands still until a test moves it.
struct WorkerHarness: Sendable {
    let clock: VirtualClock
    let broker: FaultyBroker
    let topology: Topology

    init(lanes: [Lane] = [.normal], version: BrokerVersion = BrokerVersion(4, 0)) async throws {
        clock = VirtualClock()
        broker = FaultyBroker(version: version, clock: clock)
        topology = Topology(queues: [QueueConfiguration("probes", lanes: lanes)])
        _ = try await topology.plan(broker: version).apply(to: broker.embedded)
    }

    func worker(
        _ queue: WorkerQueue = "probes",
        concurrency: Int = 1,
        settings: WorkerSettings = WorkerSettings(name: "tester"),
        middleware: [any JobMiddleware] = [],
        @HandlerBuilder handlers: () -> [JobRegistration]
    ) -> Worker {
        Worker(
            broker,
            queues: [queue],
            concurrency: concurrency,
            topology: topology,
            settings: settings,
            middleware: middleware,
            logger: Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() },
            clock: clock,
            now: { [clock] in clock.date },
            handlers: handlers
        )
    }

    // MARK: Looking at the broker

    func ready(_ queue: String) -> [Message] { broker.embedded.readyMessages(in: queue) }
    func consumers(_ queue: String) -> Int { broker.embedded.consumerCount(of: queue) }
    func exists(_ queue: String) -> Bool { broker.embedded.queueNames.contains(queue) }
    /// The number of unsettled deliveries of all queues.
    var unsettled: Int { broker.embedded.unsettledCount }
    var acknowledged: Int { broker.embedded.totals.acknowledged }
    var requeued: Int { broker.embedded.totals.requeued }
    var deadLetters: [DeadLetter] { ready("probes.dead").map { DeadLetter($0, of: "probes") } }

    // MARK: Letting time pass

    var now: Date { clock.date }

    /// Lets so much time pass, once the next thing is due after just that: so whoever waits for it has begun to.
    func pass(_ time: Duration) async throws {
        try await untilDue(in: time)
        clock.advance(by: time)
    }

    func untilDue(in time: Duration) async throws {
        try await until { clock.nextEvent == clock.now.advanced(by: time) }
    }

    /// Moves from one thing that is due to the next, each time that so many tasks wait for theirs, until a condition
    /// holds.
    func pass(whenAsleep count: Int, until condition: () -> Bool) async throws {
        while !condition() {
            try await until { condition() || clock.sleeperCount >= count }
            if !condition() { clock.advanceToNextEvent() }
        }
    }

    func untilAsleep(_ count: Int) async throws { try await until { clock.sleeperCount >= count } }

    // MARK: Working

    @discardableResult
    func enqueue(
        _ number: Int = 1,
        id: String? = nil,
        lane: Lane = .normal,
        eta: Date? = nil,
        expires: Date? = nil
    ) async throws -> String {
        let job = Probe(number: number)
        let envelope = try Envelope(encoding: job, id: id, lane: lane, eta: eta, expires: expires, now: now)
        try await publish(envelope.message, lane: lane)
        return envelope.id
    }

    func publish(_ message: Message, lane: Lane = .normal) async throws {
        let destination = Destination(exchange: topology.exchange, routingKey: lane.queue(of: "probes"))
        try await broker.embedded.publish(message, to: destination)
    }

    /// Runs a worker while `body` runs, then shuts it down impatiently.
    func run(_ worker: Worker, _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.run() }
            try await body()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    /// Runs a worker as a service; `body` is given the way to shut it down.
    ///
    /// Returns when the worker has ended.
    func serve(_ worker: Worker, _ body: (@escaping @Sendable () async -> Void) async throws -> Void) async throws {
        let logger = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: worker, successTerminationBehavior: .gracefullyShutdownGroup)],
                logger: logger
            )
        )
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            try await body { await group.triggerGracefulShutdown() }
            try await tasks.waitForAll()
        }
    }
}
