import AMQP
import EmbeddedBroker
import Testing

@Suite struct DeadLetteringTests {
    private let harness = BrokerHarness()

    private func declare(
        _ name: String,
        to target: String,
        _ kind: QueueKind = .classic,
        on harness: BrokerHarness? = nil,
        _ configure: @escaping (inout QueueArguments) -> Void = { _ in }
    ) async throws {
        try await (harness ?? self.harness).declare(name, kind) {
            $0.deadLetterExchange = ""
            $0.deadLetterRoutingKey = target
            configure(&$0)
        }
    }

    @Test func `An expired message records where, why and when it died, and loses its expiration`() async throws {
        try await harness.declare("dead")
        try await declare("q", to: "dead")
        try await harness.publish("A", to: "q") {
            $0.expiration = "2000"
            $0.headers = ["own": 1]
        }
        harness.clock.advance(by: .milliseconds(1_999))
        #expect(harness.ready("q") == ["A"])
        harness.clock.advance(by: .milliseconds(1))
        let letter = try #require(harness.broker.readyMessages(in: "dead").first)
        let seconds = UInt64(harness.clock.beginning.components.seconds) + 2
        let death: FieldTable = [
            "count": .int64(1), "reason": "expired", "queue": "q", "time": .timestamp(seconds), "exchange": "",
            "routing-keys": ["q"], "original-expiration": "2000",
        ]
        #expect(letter.properties.expiration == nil)
        #expect(
            letter.properties.headers == [
                "own": 1, "x-death": [.table(death)],
                "x-first-death-exchange": "", "x-first-death-queue": "q", "x-first-death-reason": "expired",
                "x-last-death-exchange": "", "x-last-death-queue": "q", "x-last-death-reason": "expired",
            ]
        )
    }

    @Test func `The shorter of the queue's and the message's time to live counts, at the queue's head`()
        async throws
    {
        try await harness.declare("q") { $0.messageTTL = .seconds(10) }
        try await harness.publish("front", to: "q")
        try await harness.publish("short", to: "q") { $0.expiration = "1000" }
        harness.clock.advance(by: .seconds(5))
        #expect(harness.ready("q") == ["front", "short"])
        harness.clock.advance(by: .seconds(5))
        #expect(harness.ready("q").isEmpty)
    }

    @Test func `Another death in the same queue for the same reason is counted, and comes first`() async throws {
        try await declare("la", to: "lb")
        try await declare("lb", to: "la") { $0.messageTTL = .seconds(1) }
        try await harness.publish("A", to: "la")
        for _ in 1...2 {
            try await harness.get(1, from: "la")[0].reject(requeue: false)
            harness.clock.advance(by: .seconds(1))
        }
        let deaths = harness.broker.readyMessages(in: "la").first?.properties.headers?["x-death"]?.arrayValue ?? []
        #expect(deaths.map { $0.tableValue?["queue"] } == ["lb", "la"])
        #expect(deaths.map { $0.tableValue?["count"]?.integerValue } == [2, 2])
    }

    @Test func `A message that would cycle without a rejection is dropped`() async throws {
        try await declare("ca", to: "cb") { $0.messageTTL = .seconds(1) }
        try await declare("cb", to: "ca") { $0.messageTTL = .seconds(1) }
        try await harness.publish("A", to: "ca")
        harness.clock.advance(by: .seconds(1))
        #expect(harness.ready("cb") == ["A"])
        harness.clock.advance(by: .seconds(10))
        #expect(harness.ready("ca").isEmpty && harness.ready("cb").isEmpty)
    }

    @Test func `Death records from a publisher count only before 4.0`() async throws {
        for (version, count) in [(BrokerVersion(3, 10), 2), (BrokerVersion(4, 0), 1)] {
            let harness = BrokerHarness(version)
            try await harness.declare("dead")
            try await declare("q", to: "dead", on: harness)
            try await harness.publish("A", to: "q") {
                $0.headers = ["x-death": [["queue": "elsewhere", "reason": "expired", "count": 1]]]
            }
            try await harness.get(1, from: "q")[0].reject(requeue: false)
            let headers = try #require(harness.broker.readyMessages(in: "dead").first?.properties.headers)
            #expect(headers["x-death"]?.arrayValue?.count == count)
        }
    }

    @Test func `With at-least-once, a dead letter is kept until a queue accepts it`() async throws {
        try await declare("q", to: "dead", .quorum) {
            $0.deadLetterStrategy = .atLeastOnce
            $0.overflow = .rejectPublish
        }
        try await harness.publish("A", to: "q")
        try await harness.get(1, from: "q")[0].reject(requeue: false)
        try await harness.declare("dead")
        #expect(harness.ready("dead").isEmpty)
        harness.clock.advance(by: .seconds(180))
        #expect(harness.ready("dead") == ["A"])
    }

    @Test func `Since 4.3 a dead letter keeps its delivery count`() async throws {
        for (version, counts) in [(BrokerVersion(4, 0), nil), (BrokerVersion(4, 3), 2 as Int64)] {
            let harness = BrokerHarness(version)
            try await harness.declare("dead", .quorum)
            try await declare("q", to: "dead", on: harness)
            try await harness.publish("A", to: "q")
            try await harness.get(1, from: "q")[0].reject(requeue: true)
            try await harness.get(1, from: "q")[0].reject(requeue: false)
            let letter = try await harness.get(1, from: "dead")[0]
            #expect(letter.isRedelivered == (counts != nil))
            #expect(letter.message.properties.headers?["x-delivery-count"]?.integerValue == counts)
        }
    }

    @Test func `A message in several queues is dead-lettered by each`() async throws {
        try await harness.declare("dead")
        for name in ["one", "two"] {
            try await harness.declare(name) {
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = "dead"
                $0.messageTTL = .seconds(name == "one" ? 1 : 2)
            }
            try await harness.broker.bind(Binding(from: "amq.fanout", to: .queue(name), routingKey: ""))
        }
        try await harness.broker.publish(Message(body: []), to: Destination(exchange: "amq.fanout", routingKey: "k"))
        harness.clock.advance(by: .seconds(2))
        let queues = harness.broker.readyMessages(in: "dead").map { $0.properties.headers?["x-first-death-queue"] }
        #expect(queues == ["one", "two"])
    }
}
