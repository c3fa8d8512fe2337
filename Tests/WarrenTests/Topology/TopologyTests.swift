import AMQP
import EmbeddedBroker
import Testing

@testable import Warren

@Suite struct TopologyTests {
    private let topology = Topology(queues: [
        QueueConfiguration("emails", lanes: [.low, .high]), QueueConfiguration("dev", kind: .classic, maxPriority: 9),
    ])

    private func queue(_ name: String, in plan: TopologyPlan) throws -> QueueDeclaration {
        try #require(
            plan.steps.compactMap { step -> QueueDeclaration? in
                guard case .queue(let queue) = step, queue.name == name else { return nil }
                return queue
            }.first
        )
    }

    @Test func `Every lane is a quorum queue that dead-letters at least once into the one dead queue`() throws {
        let plan = topology.plan(for: ["emails"], broker: BrokerVersion(4, 0))
        for name in ["emails", "emails.high", "emails.low"] {
            let arguments = try queue(name, in: plan).arguments
            #expect(arguments.kind == .quorum)
            #expect(arguments.deadLetterExchange == "warren.dead")
            #expect(arguments.deadLetterRoutingKey == "emails")
            #expect(arguments.deadLetterStrategy == .atLeastOnce)
            #expect(arguments.overflow == .rejectPublish)
            #expect(arguments.deliveryLimit == 100)
            #expect(plan.steps.contains(.binding(Binding(from: "warren", to: .queue(name), routingKey: name))))
            #expect(plan.steps.contains(.binding(DelayLadder.binding(for: name))))
        }
    }

    @Test func `Dead-lettered, expired parked and published dead messages end in the dead queue`() throws {
        let plan = topology.plan(for: ["emails"], broker: BrokerVersion(4, 0))
        let model = TopicModel(plan)
        let dead = model.arrivals(of: Destination(exchange: "warren.dead", routingKey: "emails"))
        #expect(dead.map(\.queue) == ["emails.dead"])
        let parked = try queue("emails.parked", in: plan).arguments
        #expect(parked.maxLength == 100_000)
        #expect(parked.messageTTL == .seconds(14 * 24 * 3_600))
        #expect(parked.deadLetterExchange == "warren.dead" && parked.deadLetterRoutingKey == "emails")
    }

    @Test func `A delayed job of each lane reaches that lane's queue`() throws {
        let model = TopicModel(topology.plan(for: ["emails"], broker: BrokerVersion(4, 0)))
        for lane in Lane.all {
            let route = try #require(DelayLadder.route(.seconds(9), to: lane.queue(of: "emails")))
            #expect(model.arrivals(of: route).map(\.queue) == [lane.queue(of: "emails")])
        }
    }

    @Test func `Without delays the plan has nothing of the ladder`() {
        let plan = topology.plan(for: ["emails"], delays: false, broker: BrokerVersion(4, 0))
        #expect(plan.entries.allSatisfy { !$0.name.contains("warren.delay") })
    }

    @Test func `A classic queue gets no argument that only quorum queues know`() throws {
        let arguments = try queue("dev", in: topology.plan(broker: BrokerVersion(3, 10))).arguments
        #expect(arguments.kind == .classic)
        #expect(arguments.maxPriority == 9)
        #expect(arguments.deliveryLimit == nil && arguments.deadLetterStrategy == nil)
    }

    @Test(arguments: [
        (BrokerVersion(3, 10, 8), nil), (BrokerVersion(3, 13), nil), (BrokerVersion(4, 0), -1),
        (BrokerVersion(4, 3, 6), -1),
    ])
    func `Dead queues have no delivery limit, expressed as the broker's version needs it`(
        version: BrokerVersion,
        limit: Int?
    ) throws {
        let plan = topology.plan(broker: version)
        #expect(try queue("emails.dead", in: plan).arguments.deliveryLimit == limit)
    }

    @Test func `A queue is declared after the dead queue that its dead letters need`() throws {
        let names = topology.plan(for: ["emails"], broker: BrokerVersion(4, 0)).queues
        let dead = try #require(names.firstIndex(of: "emails.dead"))
        #expect(try dead < #require(names.firstIndex(of: "emails")))
    }

    @Test func `The entries read like sentences`() {
        let entries = topology.plan(for: ["emails"], delays: false, broker: BrokerVersion(4, 0)).entries
        #expect(entries.first == .init(kind: "exchange", name: "warren", details: "topic durable"))
        #expect(
            entries.contains(.init(kind: "queue", name: "emails.dead", details: "quorum durable x-delivery-limit=-1"))
        )
        #expect(
            entries.contains(.init(kind: "binding", name: "warren -> queue emails.high", details: "key emails.high"))
        )
    }

    @Test func `Every level's time to live doubles, up to four years, in 64 bits`() throws {
        let plan = DelayLadder.plan
        for level in 0..<DelayLadder.levelCount {
            let arguments = try queue(DelayLadder.name(ofLevel: level), in: plan).arguments
            #expect(arguments.arguments["x-message-ttl"] == .int64(1_000 << Int64(level)))
        }
    }

    @Test(arguments: [
        Topology(application: ""), Topology(application: "a b"), Topology(application: "amq.x"),
        Topology(queues: [QueueConfiguration("a*")]), Topology(queues: [QueueConfiguration("a", deliveryLimit: 0)]),
        Topology(queues: [QueueConfiguration("a", maxPriority: 9)]),
        Topology(queues: [QueueConfiguration("a", kind: .stream)]),
        Topology(queues: [QueueConfiguration("a"), QueueConfiguration("a")]),
        Topology(queues: [QueueConfiguration(QueueName(String(repeating: "q", count: 198)), lanes: [.high])]),
    ])
    func `An invalid topology is refused before it is declared`(topology: Topology) {
        #expect(throws: WarrenError.self) { try topology.validate() }
    }

    @Test func `Applying a plan reports every difference, and declares the rest`() async throws {
        let broker = EmbeddedBroker()
        try await broker.declare(ExchangeDeclaration("warren", kind: .direct, isDurable: false))
        let plan = topology.plan(for: ["emails"], broker: broker.version)
        let report = try await plan.apply(to: broker)
        #expect(report.differences.map(\.argument) == ["type", "durable"])
        #expect(report.differences.map(\.planned) == ["topic", "true"])
        #expect(report.differences.map(\.existing) == ["direct", "false"])
        #expect(report.differences.allSatisfy { $0.name == "warren" && !$0.remedy.isEmpty })
        #expect(report.matching == plan.steps.count - 1)
        #expect(Set(broker.queueNames) == Set(plan.queues))
    }

    @Test func `A difference that can't be parsed is reported`() async throws {
        let broker = FaultyBroker()
        try await broker.embedded.declare(ExchangeDeclaration("warren", kind: .topic))
        broker.fail { $0.declaring.next = [AMQPError(.declarationMismatch, "Different.")] }
        let report = try await topology.plan(for: ["emails"], delays: false, broker: broker.version).apply(to: broker)
        #expect(report.differences.map(\.argument) == [nil])
    }

    @Test func `The status has every lane, also queues that don't exist`() async throws {
        let broker = EmbeddedBroker()
        _ = try await topology.plan(for: ["dev"], delays: false, broker: broker.version).apply(to: broker)
        try await broker.publish(Message(body: []), to: .queue("dev"))
        let statuses = try await topology.status(of: ["dev", "emails"], on: broker)
        #expect(statuses.map(\.lane) == ["normal", "dead", "parked", "high", "normal", "low", "dead", "parked"])
        #expect(statuses.map(\.ready) == [1, 0, 0, 0, 0, 0, 0, 0])
        #expect(statuses.map(\.exists) == [true, true, true, false, false, false, false, false])
    }
}

@Suite struct TopologyInspectionTests {
    @Test func `Inspecting an empty broker finds everything missing, and declares nothing`() async throws {
        let broker = FaultyBroker()
        let exchanges = broker.embedded.exchangeNames
        let plan = Topology(queues: [QueueConfiguration("emails")]).plan(broker: broker.version)
        let inspection = try await plan.inspect(on: broker)
        #expect(inspection.missing.map(\.name) == plan.entries.filter { $0.kind != "binding" }.map(\.name))
        #expect(inspection.planned == inspection.missing.count)
        #expect(inspection.differences.isEmpty && inspection.notCompared.isEmpty)
        #expect(broker.requests.exchanges.isEmpty && broker.requests.queues.isEmpty && broker.requests.bindings.isEmpty)
        #expect(broker.embedded.queueNames.isEmpty && broker.embedded.exchangeNames == exchanges)
    }
}
