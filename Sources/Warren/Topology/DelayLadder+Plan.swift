import AMQP

extension DelayLadder {
    /// What the ladder consists of, in an order in which it can be declared: what a thing refers to comes before it.
    public static let plan: TopologyPlan = {
        var plan = TopologyPlan()
        plan.add(ExchangeDeclaration(unroutedName, kind: .fanout))
        plan.add(QueueDeclaration(unroutedName, arguments: QueueArguments(.quorum)))
        plan.add(Binding(from: unroutedName, to: .queue(unroutedName), routingKey: ""))
        plan.add(ExchangeDeclaration(deliveryExchange, kind: .topic, alternateExchange: unroutedName))
        for level in 0..<levelCount { addLevel(level, to: &plan) }
        return plan
    }()

    private static func addLevel(_ level: Int, to plan: inout TopologyPlan) {
        let levelName = name(ofLevel: level)
        let below = level == 0 ? deliveryExchange : name(ofLevel: level - 1)
        let higherDigits = wildcards(levelCount - 1 - level)
        plan.add(ExchangeDeclaration(levelName, kind: .topic))
        plan.add(
            QueueDeclaration(
                levelName,
                arguments: QueueArguments(.quorum) {
                    $0.messageTTL = .seconds(1 << level)
                    $0.deadLetterExchange = below
                    $0.deadLetterStrategy = .atLeastOnce
                    $0.overflow = .rejectPublish
                }
            )
        )
        plan.add(Binding(from: levelName, to: .queue(levelName), routingKey: higherDigits + "1.#"))
        plan.add(Binding(from: levelName, to: .exchange(below), routingKey: higherDigits + "0.#"))
    }
}
