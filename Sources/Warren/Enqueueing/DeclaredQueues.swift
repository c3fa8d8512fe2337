import AMQP
import Logging
import Synchronization

/// What a client knows about the queues it publishes to: which names and lanes are good, and what is declared already.
///
/// The look-up for a queue that was used before is one lock and one hash. Declaring happens once a queue, by one caller at a time.
final class DeclaredQueues: Sendable {
    private struct State {
        var queues: [QueueName: Known] = [:]
        var ladderIsDeclared = false
    }

    private struct Known {
        var lanes: [Lane]
        var isDeclared: Bool
        var isOnLadder: Bool
        /// When the broker was found not to have it any more.
        var missedAt: ContinuousClock.Instant?
    }

    /// How long after a queue was missed it is declared again, on brokers that need it.
    ///
    /// Long enough for them to tell the consumers of the old one first: see ``BrokerFeatures/mayKeepDeadConsumers``.
    private static let mourning = Duration.milliseconds(500)

    private let state = Mutex(State())
    private let declaring = AsyncMutex()
    private let transport: any Transport
    private let topology: Topology
    private let declaresTopology: Bool
    private let clock: any Clock<Duration>
    private let logger: Logger

    init(
        transport: any Transport,
        topology: Topology,
        declaresTopology: Bool,
        clock: any Clock<Duration>,
        logger: Logger
    ) {
        self.transport = transport
        self.topology = topology
        self.declaresTopology = declaresTopology
        self.clock = clock
        self.logger = logger
    }

    /// Makes sure that a message for the lane can be published.
    ///
    /// - Parameter throughLadder: Whether it goes through the delay ladder, which then is declared too.
    /// - Throws: `invalidQueueName`, `invalidLane`, `topologyFailed`, `notEnqueued` when the deadline passes.
    func prepare(
        _ queue: QueueName,
        _ lane: Lane,
        throughLadder: Bool,
        deadline: ContinuousClock.Instant
    ) async throws {
        let known = try known(queue, lane)
        let isReady = known.isDeclared && (known.isOnLadder || !throughLadder)
        if !isReady, declaresTopology { try await declare(queue, throughLadder: throughLadder, deadline: deadline) }
    }

    /// Checks that there can be such a lane.
    ///
    /// - Throws: `invalidQueueName`, `invalidLane`.
    func check(_ queue: QueueName, _ lane: Lane) throws(WarrenError) { _ = try known(queue, lane) }

    private func known(_ queue: QueueName, _ lane: Lane) throws(WarrenError) -> Known {
        let found = state.withLock { $0.queues[queue] }
        let known = if let found { found } else { try validated(queue) }
        guard known.lanes.contains(lane) else {
            throw WarrenError(
                .invalidLane,
                """
                The queue '\(queue)' has no lane '\(lane)', only \(known.lanes.map(\.name).joined(separator: ", ")). \
                Give it the lane in the topology of clients and workers.
                """
            )
        }
        return known
    }

    /// Forgets that a queue was declared, because the broker doesn't have it any more.
    ///
    /// - Returns: False if this client declares nothing, so that there is nothing to forget.
    func forget(_ queue: QueueName) -> Bool {
        state.withLock { state in
            state.queues[queue]?.isDeclared = false
            state.queues[queue]?.isOnLadder = false
            state.queues[queue]?.missedAt = .now
            state.ladderIsDeclared = false
        }
        return declaresTopology
    }

    private func validated(_ queue: QueueName) throws(WarrenError) -> Known {
        let configuration = topology.configuration(of: queue)
        try configuration.validate()
        return state.withLock { state in
            // Without declarations there is nothing else to wait for.
            let known = Known(lanes: configuration.lanes, isDeclared: !declaresTopology, isOnLadder: !declaresTopology)
            state.queues[queue] = known
            return known
        }
    }

    private func declare(_ queue: QueueName, throughLadder: Bool, deadline: ContinuousClock.Instant) async throws {
        do {
            try await Deadline.run(until: deadline, clock: clock) { [self] in
                try await declaring.take { try await declareInTurn(queue, throughLadder: throughLadder) }
            }
        } catch let error as AMQPError {
            throw WarrenError(
                .topologyFailed,
                """
                The exchanges and queues of '\(queue)' could not be declared. If they exist and this user may not declare, \
                make the client with `declaresTopology: false`.
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

    private func declareInTurn(_ queue: QueueName, throughLadder: Bool) async throws {
        let (known, ladderIsDeclared) = state.withLock { ($0.queues[queue], $0.ladderIsDeclared) }
        if let known, known.isDeclared, known.isOnLadder || !throughLadder { return }
        var plan = TopologyPlan()
        if known?.isDeclared != true {
            let version = try await transport.broker().version
            if let missedAt = known?.missedAt, BrokerFeatures(version).mayKeepDeadConsumers {
                try await ContinuousClock().sleep(until: missedAt + Self.mourning)
            }
            plan = topology.plan(for: [queue], delays: false, broker: version)
        }
        if throughLadder {
            if !ladderIsDeclared { plan.add(DelayLadder.plan) }
            for lane in known?.lanes ?? [.normal] { plan.add(DelayLadder.binding(for: lane.queue(of: queue))) }
        }
        let report = try await plan.apply(to: transport)
        for difference in report.differences {
            logger.warning(
                "The broker has something else than the topology says",
                metadata: [LogKey.queue: "\(queue)", LogKey.difference: "\(difference)"]
            )
        }
        state.withLock { state in
            state.queues[queue]?.isDeclared = true
            if throughLadder {
                state.queues[queue]?.isOnLadder = true
                state.ladderIsDeclared = true
            }
        }
    }
}
