import AMQP
import EmbeddedBroker
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@testable import Warren

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
            logger: .quiet,
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

    /// Moves from event to event, each time once the worker is quiet, until a condition holds.
    func pass(until condition: () -> Bool) async throws {
        while !condition() {
            try await untilQuiet()
            if !condition() { clock.advanceToNextEvent() }
        }
    }

    /// Moves to the next event, once the worker is quiet.
    func passOne() async throws {
        try await untilQuiet()
        clock.advanceToNextEvent()
    }

    /// Waits until the worker is quiet: each of its tasks waits for the clock, for a message or for the test.
    ///
    /// That shows in what no longer changes. Tasks take turns, so one that can run has run, and moved a message, a
    /// request or a sleep, long before this task had its turn 200 times.
    func untilQuiet() async throws {
        var (last, turns) = (activity, 0)
        while turns < 200 {
            try Task.checkCancellation()
            await Task.yield()
            turns += 1
            // A task may have been preempted in the middle of its turn, with its thread.
            if turns.isMultiple(of: 50) { try await ContinuousClock().sleep(for: .milliseconds(1)) }
            let now = activity
            if now != last { (last, turns) = (now, 0) }
        }
    }

    /// The effects of the worker's tasks, which change while they run.
    private var activity: [Int] {
        let requests = broker.requests
        return [
            clock.sleeperCount, clock.nextEvent?.offset.hashValue ?? 0, unsettled, acknowledged, requeued,
            requests.published.count, requests.consumed.count, requests.exchanges.count, requests.queues.count,
            requests.bindings.count,
        ]
    }

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
        let logger = Logger.quiet
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
