public import AMQP

/// What an application has on the broker: the name of its exchanges, and how its queues are made.
///
/// Clients, workers and commands of one application share this value, so that all declare the same.
public struct Topology: Sendable, Hashable {
    /// The application: the name of the exchange to which jobs are published; `warren.dead` takes its dead letters.
    public var application: String
    /// The queues that differ from the default.
    public var queues: [QueueConfiguration]

    /// The topology of an application.
    public init(application: String = "warren", queues: [QueueConfiguration] = []) {
        self.application = application
        self.queues = queues
    }

    /// The exchange to which jobs are published, with the lane's queue as the routing key.
    public var exchange: String { application }

    /// The exchange to which dead letters are published, with the queue as the routing key.
    public var deadExchange: String { application + ".dead" }

    /// How a queue is made: as configured, else the default.
    public func configuration(of queue: QueueName) -> QueueConfiguration {
        queues.first { $0.name == queue } ?? QueueConfiguration(queue)
    }

    /// Checks all names and limits.
    ///
    /// - Throws: ``WarrenError`` with `invalidQueueName` or `invalidConfiguration`.
    public func validate() throws(WarrenError) {
        let isPlain = application.utf8.allSatisfy(QueueName.isAllowed)
        guard isPlain, (1...199).contains(application.utf8.count), !application.hasPrefix("amq.") else {
            throw WarrenError(
                .invalidConfiguration,
                "'\(application)' can't be an application's name: 1 to 199 letters, digits, '-', '_', ':' and '.', not 'amq.…'."
            )
        }
        for configuration in queues { try configuration.validate() }
        if Set(queues.map(\.name)).count < queues.count {
            throw WarrenError(.invalidConfiguration, "A queue of application '\(application)' is configured twice.")
        }
    }
}

extension Topology {
    /// What has to be on the broker for these queues.
    ///
    /// - Parameter delays: Whether to include the delay ladder and the queues' bindings to it.
    /// - Parameter broker: The broker's version, on which a few arguments depend.
    public func plan(for queues: [QueueName], delays: Bool = true, broker: BrokerVersion) -> TopologyPlan {
        var plan = TopologyPlan()
        plan.add(ExchangeDeclaration(exchange, kind: .topic))
        plan.add(ExchangeDeclaration(deadExchange, kind: .direct))
        if delays { plan.add(DelayLadder.plan) }
        for queue in queues {
            addQueues(of: configuration(of: queue), to: &plan, delays: delays, features: BrokerFeatures(broker))
        }
        return plan
    }

    /// What has to be on the broker for all configured queues.
    public func plan(delays: Bool = true, broker: BrokerVersion) -> TopologyPlan {
        plan(for: queues.map(\.name), delays: delays, broker: broker)
    }

    private func addQueues(
        of configuration: QueueConfiguration,
        to plan: inout TopologyPlan,
        delays: Bool,
        features: BrokerFeatures
    ) {
        let name = configuration.name
        // The dead queue comes first: what the others dead-letter must find it.
        plan.add(QueueDeclaration(name.dead, arguments: Self.deadArguments(features)))
        plan.add(Binding(from: deadExchange, to: .queue(name.dead), routingKey: name.rawValue))
        plan.add(QueueDeclaration(name.parked, arguments: parkedArguments(configuration, features)))
        for lane in configuration.lanes {
            let queue = lane.queue(of: name)
            plan.add(QueueDeclaration(queue, arguments: jobArguments(configuration)))
            plan.add(Binding(from: exchange, to: .queue(queue), routingKey: queue))
            if delays { plan.add(DelayLadder.binding(for: queue)) }
        }
    }

    private func jobArguments(_ configuration: QueueConfiguration) -> QueueArguments {
        QueueArguments(configuration.kind) {
            $0.deadLetterExchange = deadExchange
            $0.deadLetterRoutingKey = configuration.name.rawValue
            $0.overflow = .rejectPublish
            $0.maxLength = configuration.maxLength
            if configuration.kind == .quorum {
                $0.deadLetterStrategy = .atLeastOnce
                $0.deliveryLimit = configuration.deliveryLimit
            } else {
                $0.maxPriority = configuration.maxPriority
            }
        }
    }

    /// Looking at dead letters returns them to their queue, which counts as a delivery; so the queue has no limit of those.
    private static func deadArguments(_ features: BrokerFeatures) -> QueueArguments {
        QueueArguments(.quorum) { $0.deliveryLimit = features.unlimitedDeliveryLimit }
    }

    /// Bounded in size and age, and nothing is lost at either bound: one too many is refused and goes to the dead queue by the
    /// worker's hand, one too old by the broker's.
    private func parkedArguments(_ configuration: QueueConfiguration, _ features: BrokerFeatures) -> QueueArguments {
        QueueArguments(.quorum) {
            $0.maxLength = configuration.parkedLimit
            $0.messageTTL = configuration.parkedAge
            $0.overflow = .rejectPublish
            $0.deadLetterExchange = deadExchange
            $0.deadLetterRoutingKey = configuration.name.rawValue
            $0.deadLetterStrategy = .atLeastOnce
            $0.deliveryLimit = features.unlimitedDeliveryLimit
        }
    }
}

extension Topology {
    /// How these queues stand: each lane, the dead and the parked queue.
    ///
    /// Reading it changes nothing.
    ///
    /// - Throws: `accessRefused`, `connectionFailed` and the like; a queue that doesn't exist is no error.
    public func status(of queues: [QueueName], on transport: any Transport) async throws(AMQPError) -> [LaneStatus] {
        var statuses: [LaneStatus] = []
        for queue in queues {
            let lanes = configuration(of: queue).lanes.map { ($0.name, $0.queue(of: queue)) }
            for (lane, name) in lanes + [("dead", queue.dead), ("parked", queue.parked)] {
                statuses.append(try await status(of: queue, lane: lane, name: name, on: transport))
            }
        }
        return statuses
    }

    private func status(
        of queue: QueueName,
        lane: String,
        name: String,
        on transport: any Transport
    ) async throws(AMQPError) -> LaneStatus {
        var status = LaneStatus(queue: queue.rawValue, lane: lane, name: name, exists: false, ready: 0, consumers: 0)
        do {
            let found = try await transport.status(ofQueue: name)
            status.exists = true
            status.ready = found.messageCount
            status.consumers = found.consumerCount
        } catch {
            guard error.code == .notFound else { throw error }
        }
        return status
    }
}

/// How a queue of the broker stands: one lane, a dead queue or a parked queue.
public struct LaneStatus: Sendable, Hashable, Codable {
    /// The job queue it belongs to.
    public var queue: String
    /// `high`, `normal`, `low`, `dead` or `parked`.
    public var lane: String
    /// The queue's own name on the broker.
    public var name: String
    /// False if the broker has no such queue; then the numbers are 0.
    public var exists: Bool
    /// How many messages wait.
    ///
    /// Those that workers hold unsettled are not counted: AMQP doesn't tell.
    public var ready: Int
    /// How many consumers it has.
    public var consumers: Int
}
