import AMQP
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
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

/// A fake broker with everything declared, and a worker on it.
struct WorkerHarness: Sendable {
    let broker: FakeBroker
    let topology: Topology

    init(lanes: [Lane] = [.normal], broker: FakeBroker = FakeBroker()) async throws {
        self.broker = broker
        topology = Topology(queues: [QueueConfiguration("probes", lanes: lanes)])
        _ = try await topology.plan(broker: broker.version).apply(to: broker)
    }

    func worker(
        _ queue: WorkerQueue = "probes",
        concurrency: Int = 1,
        settings: WorkerSettings = WorkerSettings(name: "tester"),
        middleware: [any JobMiddleware] = [],
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Date = { Date() },
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
            now: now,
            handlers: handlers
        )
    }

    @discardableResult
    func enqueue(
        _ number: Int = 1,
        id: String? = nil,
        lane: Lane = .normal,
        eta: Date? = nil,
        expires: Date? = nil
    ) async throws -> String {
        let job = Probe(number: number)
        let envelope = try Envelope(encoding: job, id: id, lane: lane, eta: eta, expires: expires, now: Date())
        try await publish(envelope.message, lane: lane)
        return envelope.id
    }

    func publish(_ message: Message, lane: Lane = .normal) async throws {
        let destination = Destination(exchange: topology.exchange, routingKey: lane.queue(of: "probes"))
        try await broker.publish(message, to: destination, mandatory: true, deadline: .now + .seconds(1))
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
