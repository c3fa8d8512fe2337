public import AMQP

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
