import AMQP
import Logging
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The last step of enqueueing: publishes a job's message along its route.
///
/// ``BrokerPublisher`` publishes to the broker. A client with a ``Spool`` wraps it in a ``SpoolingPublisher``.
protocol JobPublisher: Sendable {
    /// Publishes a message, and returns when it is durable.
    ///
    /// - Returns: True if it is in the spool, false if it is at the broker.
    /// - Throws: ``WarrenError``.
    func publish(_ message: Message, along route: Route, deadline: ContinuousClock.Instant) async throws -> Bool
}

/// Declares what is missing for a route, publishes, and waits for the broker's confirm.
final class BrokerPublisher: JobPublisher {
    private let transport: any Transport
    private let queues: DeclaredQueues
    private let now: @Sendable () -> Date

    init(
        transport: any Transport,
        topology: Topology,
        declaresTopology: Bool,
        logger: Logger,
        clock: any Clock<Duration>,
        now: @escaping @Sendable () -> Date
    ) {
        self.transport = transport
        self.now = now
        queues = DeclaredQueues(
            transport: transport,
            topology: topology,
            declaresTopology: declaresTopology,
            logger: logger,
            clock: clock
        )
    }

    func publish(_ message: Message, along route: Route, deadline: ContinuousClock.Instant) async throws -> Bool {
        let (destination, throughLadder) = route.destination(now: now())
        try await queues.prepare(route, throughLadder: throughLadder, deadline: deadline)
        do {
            try await transport.publish(message, to: destination, mandatory: true, deadline: deadline)
        } catch  where error.code == .unroutable || error.code == .notFound {
            // Someone deleted the queue or an exchange since this client declared it.
            guard queues.invalidate(route.queue) else { throw notEnqueued(message, route, error) }
            try await queues.prepare(route, throughLadder: throughLadder, deadline: deadline)
            do {
                try await transport.publish(message, to: destination, mandatory: true, deadline: deadline)
            } catch {
                throw notEnqueued(message, route, error)
            }
        } catch {
            throw notEnqueued(message, route, error)
        }
        return false
    }

    /// Declares what is missing for a route, ahead of a publish.
    ///
    /// - Throws: ``WarrenError``.
    func prepare(_ route: Route, deadline: ContinuousClock.Instant) async throws {
        let (_, throughLadder) = route.destination(now: now())
        try await queues.prepare(route, throughLadder: throughLadder, deadline: deadline)
    }

    /// Checks that the queue's name is valid and that the queue has the lane.
    ///
    /// - Throws: `invalidQueueName`, `invalidLane`.
    func validate(_ route: Route) throws(WarrenError) { try queues.validate(route) }

    private func notEnqueued(_ message: Message, _ route: Route, _ error: AMQPError) -> WarrenError {
        let certainty = error.outcomeIsKnown ? "was not enqueued" : "may or may not have been enqueued"
        return WarrenError(.notEnqueued, "\(message.jobDescription(for: route.queue)) \(certainty).", underlying: error)
    }
}

extension Message {
    /// The id of the job; empty if the message has none.
    var jobID: String { properties.messageID ?? "" }

    /// The name of the job; empty if the message has none.
    var jobName: String { properties.headers?[EnvelopeHeader.task]?.stringValue ?? "" }

    /// The job as the subject of an error message.
    func jobDescription(for queue: QueueName) -> String {
        let (name, id) = (jobName.truncated(toBytes: 80), jobID.truncated(toBytes: JobID.maximumLength))
        return "The job '\(name)' (\(id)) for the queue '\(queue)'"
    }
}

/// The queues that a client publishes to: their lanes, and what of them is declared already.
///
/// Looking up a queue that was used before costs one lock and one hash. Each queue is declared once, by one caller at a
/// time.
private final class DeclaredQueues: Sendable {
    private struct State {
        var queues: [QueueName: DeclaredQueue] = [:]
        var ladderIsDeclared = false
    }

    private struct DeclaredQueue {
        var lanes: [Lane]
        var isDeclared: Bool
        var isOnLadder: Bool
        /// The time at which the broker was found not to have the queue any more.
        var missingSince: ContinuousClock.Instant?
    }

    /// The time that must pass before a missing queue is declared again, on brokers that need it.
    ///
    /// It lets them notify the consumers of the old queue first: see ``BrokerFeatures/mayKeepDeadConsumers``.
    private static let redeclareDelay = Duration.milliseconds(500)

    private let state = Mutex(State())
    private let declaring = AsyncMutex()
    private let transport: any Transport
    private let topology: Topology
    private let declaresTopology: Bool
    private let logger: Logger
    private let clock: any Clock<Duration>

    init(
        transport: any Transport,
        topology: Topology,
        declaresTopology: Bool,
        logger: Logger,
        clock: any Clock<Duration>
    ) {
        self.transport = transport
        self.topology = topology
        self.declaresTopology = declaresTopology
        self.logger = logger
        self.clock = clock
    }

    /// Makes sure that a message can be published along a route.
    ///
    /// - Parameter throughLadder: Whether it goes through the delay ladder, which then is declared too.
    /// - Throws: `invalidQueueName`, `invalidLane`; `topologyFailed`, also when the deadline passes.
    func prepare(_ route: Route, throughLadder: Bool, deadline: ContinuousClock.Instant) async throws {
        let queue = try validatedQueue(of: route)
        let isReady = queue.isDeclared && (queue.isOnLadder || !throughLadder)
        if !isReady, declaresTopology {
            try await declare(route.queue, throughLadder: throughLadder, deadline: deadline)
        }
    }

    /// Checks that the queue's name is valid and that the queue has the lane.
    ///
    /// - Throws: `invalidQueueName`, `invalidLane`.
    func validate(_ route: Route) throws(WarrenError) { _ = try validatedQueue(of: route) }

    /// Marks a queue as not declared, because the broker doesn't have it any more.
    ///
    /// - Returns: False if this client declares nothing, so that trying again is useless.
    func invalidate(_ queue: QueueName) -> Bool {
        state.withLock { state in
            state.queues[queue]?.isDeclared = false
            state.queues[queue]?.isOnLadder = false
            state.queues[queue]?.missingSince = .now
            state.ladderIsDeclared = false
        }
        return declaresTopology
    }

    private func validatedQueue(of route: Route) throws(WarrenError) -> DeclaredQueue {
        let found = state.withLock { $0.queues[route.queue] }
        let queue = if let found { found } else { try add(route.queue) }
        guard queue.lanes.contains(route.lane) else {
            throw WarrenError(
                .invalidLane,
                """
                The queue '\(route.queue)' has no lane '\(route.lane)', only \
                \(queue.lanes.map(\.name).joined(separator: ", ")). Add the lane to the topology of clients and workers.
                """
            )
        }
        return queue
    }

    private func add(_ name: QueueName) throws(WarrenError) -> DeclaredQueue {
        let configuration = topology.configuration(of: name)
        try configuration.validate()
        return state.withLock { state in
            // A client that declares nothing takes everything as declared.
            let queue = DeclaredQueue(
                lanes: configuration.lanes,
                isDeclared: !declaresTopology,
                isOnLadder: !declaresTopology
            )
            state.queues[name] = queue
            return queue
        }
    }

    private func declare(_ queue: QueueName, throughLadder: Bool, deadline: ContinuousClock.Instant) async throws {
        do {
            try await Deadline.run(until: deadline, clock: clock) { [self] in
                try await declaring.withLock { try await declareIfMissing(queue, throughLadder: throughLadder) }
            }
        } catch let error as AMQPError {
            throw WarrenError(
                .topologyFailed,
                """
                The exchanges and queues of '\(queue)' could not be declared. If they exist and this user may not \
                declare, create the client with `declaresTopology: false`.
                """,
                underlying: error
            )
        } catch is Deadline.Passed {
            throw WarrenError(
                .topologyFailed,
                "The exchanges and queues of '\(queue)' were not declared in time.",
                underlying: AMQPError(
                    .deadlineExceeded,
                    "The broker did not answer all declarations before the deadline."
                )
            )
        }
    }

    /// Holding the lock: declares what an earlier holder hasn't declared already.
    private func declareIfMissing(_ name: QueueName, throughLadder: Bool) async throws {
        let (queue, ladderIsDeclared) = state.withLock { ($0.queues[name], $0.ladderIsDeclared) }
        if let queue, queue.isDeclared, queue.isOnLadder || !throughLadder { return }
        var plan = TopologyPlan()
        if queue?.isDeclared != true {
            let version = try await transport.broker().version
            if let missingSince = queue?.missingSince, BrokerFeatures(version).mayKeepDeadConsumers {
                try await ContinuousClock().sleep(until: missingSince + Self.redeclareDelay)
            }
            plan = topology.plan(for: [name], delays: false, broker: version)
        }
        if throughLadder {
            if !ladderIsDeclared { plan.add(DelayLadder.plan) }
            for lane in queue?.lanes ?? [.normal] { plan.add(DelayLadder.binding(for: lane.queue(of: name))) }
        }
        let report = try await plan.apply(to: transport)
        for difference in report.differences {
            logger.warning(
                "Existing declaration differs from the topology",
                metadata: [LogKey.queue: "\(name)", LogKey.difference: "\(difference)"]
            )
        }
        state.withLock { state in
            state.queues[name]?.isDeclared = true
            if throughLadder {
                state.queues[name]?.isOnLadder = true
                state.ladderIsDeclared = true
            }
        }
    }
}
