public import AMQP

/// The exchanges and queues of an application on the broker.
///
/// Clients, workers and commands of one application share this value, so that all of them declare the same.
public struct Topology: Sendable, Hashable {
    /// The application's name, which is also the name of the exchange to which jobs are published.
    ///
    /// Dead letters go to the exchange with this name and `.dead`.
    public var application: String
    /// The queues that differ from the default.
    public var queues: [QueueConfiguration]

    /// Creates the topology of an application.
    public init(application: String = "warren", queues: [QueueConfiguration] = []) {
        self.application = application
        self.queues = queues
    }

    /// The exchange to which jobs are published, with the lane's queue as the routing key.
    public var exchange: String { application }

    /// The exchange to which dead letters are published, with the queue as the routing key.
    public var deadExchange: String { application + ".dead" }

    /// The stream in which workers record the starts of jobs that may be poison.
    package var startLog: String { application + ".starts" }

    /// The configuration of a queue: the one in ``queues``, else the default.
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
                """
                '\(application)' can't be an application's name, which has 1 to 199 letters, digits, '-', '_', ':' and \
                '.', and doesn't begin with 'amq.'.
                """
            )
        }
        for configuration in queues { try configuration.validate() }
        if Set(queues.map(\.name)).count < queues.count {
            throw WarrenError(.invalidConfiguration, "A queue of application '\(application)' is configured twice.")
        }
    }

    // MARK: - Plan

    /// The exchanges, queues and bindings that these queues need.
    ///
    /// - Parameters:
    ///   - queues: The queues.
    ///   - delays: Whether to include the delay ladder and the queues' bindings to it.
    ///   - broker: The broker's version, on which a few arguments depend.
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

    /// The exchanges, queues and bindings that all configured queues need.
    ///
    /// - Parameters:
    ///   - delays: Whether to include the delay ladder and the queues' bindings to it.
    ///   - broker: The broker's version, on which a few arguments depend.
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
        // The dead queue comes first, because the others dead-letter to it.
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

    // MARK: - At first need

    /// The queue of jobs that may have crashed a worker, which is declared when the first is to be quarantined.
    ///
    /// Its delivery limit is the net under the crash limit, as in the job's own queue.
    package func quarantineDeclaration(of queue: QueueName) -> QueueDeclaration {
        let configuration = QueueConfiguration(queue, deliveryLimit: configuration(of: queue).deliveryLimit)
        return QueueDeclaration(queue.quarantine, arguments: jobArguments(configuration))
    }

    /// The declaration of ``startLog``.
    ///
    /// Bounded to a day and some ten thousand starts: a start that has no end by then is forgotten.
    package var startLogDeclaration: QueueDeclaration {
        QueueDeclaration(
            startLog,
            arguments: QueueArguments(.stream) {
                $0.maxAge = .seconds(24 * 3_600)
                $0.maxLengthBytes = 16 << 20
                $0.streamMaxSegmentSizeBytes = 2 << 20
            }
        )
    }

    /// Browsing dead letters requeues them, which counts as a delivery; so the dead queue has no delivery limit.
    private static func deadArguments(_ features: BrokerFeatures) -> QueueArguments {
        QueueArguments(.quorum) { $0.deliveryLimit = features.unlimitedDeliveryLimit }
    }

    /// Bounded in size and age without loss: a job too many is refused, and the worker moves it to the dead queue; the
    /// broker moves a job that is too old.
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

    // MARK: - Status

    /// The status of these queues: of each lane, the dead queue and the parked queue.
    ///
    /// Reading it changes nothing.
    ///
    /// - Throws: `accessRefused`, `connectionFailed` and the like; not for a queue that doesn't exist.
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

/// The status of one queue of the broker: a lane, a dead queue or a parked queue.
public struct LaneStatus: Sendable, Hashable, Codable {
    /// The job queue it belongs to.
    public var queue: String
    /// `high`, `normal`, `low`, `dead` or `parked`.
    public var lane: String
    /// The queue's name on the broker.
    public var name: String
    /// True if the broker has the queue; if not, the numbers are 0.
    public var exists: Bool
    /// The number of waiting messages, without those that workers hold unsettled, which AMQP doesn't report.
    public var ready: Int
    /// The number of consumers.
    public var consumers: Int
}
