import AMQP
import Foundation
import TestSupport
import Testing
import Warren

@Suite(.broker(.embedded, .rabbitMQ), .timeLimit(.minutes(1))) struct TopologyOnBrokerTests {
    @Test func `A topology is declared as planned, and declaring it again finds no difference`() async throws {
        try await TestApplication.with(lanes: Lane.all, declaresTopology: false) { application in
            let first = try await application.declare()
            #expect(first.differences.isEmpty)
            let plan = application.topology.plan(broker: try await application.client.broker().version)
            #expect(first.matching == plan.steps.count)
            #expect(try await application.declare() == first)
            let statuses = try await application.topology.status(of: [application.queue], on: application.client)
            #expect(statuses.map(\.lane) == ["high", "normal", "low", "dead", "parked"])
            #expect(statuses.allSatisfy { $0.exists && $0.ready == 0 && $0.consumers == 0 })
        }
    }

    @Test func `A queue with other arguments is left unchanged, and every difference is reported with its remedy`()
        async throws
    {
        try await TestApplication.with(declaresTopology: false) { application in
            let name = application.queue.rawValue
            let existing = QueueArguments(.quorum) {
                $0.deadLetterExchange = "elsewhere"
                $0.deliveryLimit = 7
                $0.maxLength = 50
            }
            try await application.client.declare(QueueDeclaration(name, arguments: existing))
            let report = try await application.declare()
            let found = report.differences.filter { $0.name == name }
            #expect(
                Set(found.map(\.argument)) == [
                    "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-overflow",
                    "x-delivery-limit", "x-max-length",
                ]
            )
            let limit = try #require(found.first { $0.argument == "x-delivery-limit" })
            #expect(limit.planned == "100" && limit.existing == "7")
            let strategy = try #require(found.first { $0.argument == "x-dead-letter-strategy" })
            #expect(strategy.existing == nil && strategy.remedy.contains("policy"))
            #expect(found.allSatisfy { $0.description.contains(name) && !$0.remedy.isEmpty })
            #expect(report.differences.count == found.count)
            // What exists is as it was.
            try await application.client.declare(QueueDeclaration(name, arguments: existing))
        }
    }

    @Test func `A classic queue in a quorum queue's place, and an exchange of another kind, are reported`() async throws
    {
        try await TestApplication.with(declaresTopology: false) { application in
            let name = application.queue.rawValue
            try await application.client.declare(QueueDeclaration(name, arguments: QueueArguments(.classic)))
            try await application.client.declare(ExchangeDeclaration(application.topology.exchange, kind: .direct))
            let report = try await application.declare()
            let kind = try #require(report.differences.first { $0.name == name && $0.argument == "x-queue-type" })
            #expect(kind.planned == "quorum" && kind.existing == "classic")
            let exchange = try #require(report.differences.first { $0.kind == "exchange" })
            #expect(exchange.argument == "type" && exchange.planned == "topic" && exchange.existing == "direct")
        }
    }

    @Test func `A worker consumes a queue that differs from its topology`() async throws {
        try await TestApplication.with(declaresTopology: false) { application in
            try await application.client.declare(
                QueueDeclaration(application.queue.rawValue, arguments: QueueArguments(.classic))
            )
            let recorder = Recorder<Int>()
            let worker = application.worker { Handler(Probe.self) { job, _ in recorder.record(job.number) } }
            try await application.run(worker) {
                _ = try await application.jobs.enqueue(Probe(number: 3), queue: application.queue)
                #expect(await recorder.next(1) == [3])
            }
        }
    }
}
