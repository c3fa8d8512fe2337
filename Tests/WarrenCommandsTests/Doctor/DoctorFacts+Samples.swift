import AMQP

@testable import Warren
@testable import WarrenCommands

extension DoctorFacts {
    /// A broker of a version with the queue `emails`, without problems, for which the management API has returned
    /// everything.
    static func healthy(_ version: BrokerVersion = BrokerVersion(4, 3, 6), lanes: [Lane] = [.normal]) -> DoctorFacts {
        let topology = Topology(queues: [QueueConfiguration("emails", lanes: lanes)])
        var facts = DoctorFacts(
            broker: BrokerIdentity(product: "RabbitMQ", version: version),
            topology: topology,
            queues: ["emails"]
        )
        let normal = lanes.isEmpty ? [.normal] : topology.configuration(of: "emails").lanes
        facts.statuses =
            normal.map { status($0.name, $0.queue(of: "emails"), consumers: 1) }
            + [status("dead", "emails.dead"), status("parked", "emails.parked")]
        facts.jobs = [JobLimits(name: "emails.send", queue: "emails", attempts: 8, timeLimit: .seconds(20))]
        facts.management = ManagementFacts(
            nodes: [ManagedNode(name: "rabbit@one", running: true)],
            queues: [],
            bindings: facts.plan.steps.compactMap { step in
                if case .binding(let binding) = step { ManagedBinding(binding) } else { nil }
            },
            policies: [],
            operatorPolicies: [],
            skew: ClockSkew(-0.5...1.5)
        )
        return facts
    }

    static func status(_ lane: String, _ name: String, ready: Int = 0, consumers: Int = 0) -> LaneStatus {
        LaneStatus(queue: "emails", lane: lane, name: name, exists: true, ready: ready, consumers: consumers)
    }

    /// Lets a queue have something else than planned.
    mutating func differ(_ name: String, _ argument: String, planned: String?, existing: String?) {
        inspection.differences.append(
            TopologyDifference(
                kind: "queue",
                name: name,
                argument: argument,
                planned: planned,
                existing: existing,
                remedy: "Do something."
            )
        )
    }

    /// Lets exchanges or queues not exist.
    mutating func remove(_ names: String...) {
        inspection.missing += plan.entries.filter { names.contains($0.name) && $0.kind != "binding" }
    }

    mutating func apply(
        _ definition: [String: PolicyValue],
        pattern: String,
        priority: Int = 0,
        to kind: String = "queues"
    ) {
        let count = management?.policies?.count ?? 0
        management?.policies?.append(
            ManagedPolicy(
                name: "p\(count)",
                pattern: pattern,
                applyTo: kind,
                priority: priority,
                definition: definition
            )
        )
    }
}

extension ManagedBinding {
    init(_ binding: Binding) {
        switch binding.target {
        case .queue(let name):
            self.init(
                source: binding.source,
                destination: name,
                destinationType: "queue",
                routingKey: binding.routingKey
            )
        case .exchange(let name):
            self.init(
                source: binding.source,
                destination: name,
                destinationType: "exchange",
                routingKey: binding.routingKey
            )
        }
    }
}
