import AMQP
import EmbeddedBroker
import Testing

@Suite struct RedeliveryTests {
    /// Gets A to D, acknowledges D, and requeues C, A and B in this order; returns the texts in the queue then.
    private func returned(_ harness: BrokerHarness, _ way: (Delivery) -> Void) async throws -> [String] {
        try await harness.publish(all: ["A", "B", "C", "D", "E"], to: "q")
        let deliveries = try await harness.get(4, from: "q")
        deliveries[3].ack()
        for index in [2, 0, 1] { way(deliveries[index]) }
        return harness.ready("q")
    }

    @Test(arguments: [BrokerVersion(3, 10), BrokerVersion(4, 0), BrokerVersion(4, 3)])
    func `A classic queue requeues messages at their original places`(version: BrokerVersion) async throws {
        let harness = BrokerHarness(version)
        try await harness.declare("q")
        #expect(try await returned(harness) { $0.nack(requeue: true) } == ["A", "B", "C", "E"])
    }

    @Test(arguments: [(BrokerVersion(3, 10), "ECAB"), (BrokerVersion(4, 0), "CABE"), (BrokerVersion(4, 3), "CABE")])
    func `A quorum queue requeues messages depending on the version`(
        version: BrokerVersion,
        order: String
    )
        async throws
    {
        let harness = BrokerHarness(version)
        try await harness.declare("q", .quorum)
        #expect(try await returned(harness) { $0.reject(requeue: true) }.joined() == order)
    }

    @Test func `Messages of a lost channel are requeued at the front, marked as redelivered`() async throws {
        let harness = BrokerHarness(BrokerVersion(3, 10))
        try await harness.declare("q", .quorum)
        try await harness.publish(all: ["A", "B", "C"], to: "q")
        let stream = try await harness.broker.consume(queue: "q", prefetch: 2)
        let held = try await stream.nextBatch()
        #expect(held.count == 2 && held.allSatisfy { !$0.isLost })
        await stream.cancel(requeuesUnsettled: true)
        #expect(held.allSatisfy { $0.isLost })
        held[0].ack()
        #expect(harness.ready("q") == ["A", "B", "C"])
        let again = try await harness.get(3, from: "q")
        #expect(again.map(\.isRedelivered) == [true, true, false])
        #expect(again.map { $0.message.properties.headers?["x-delivery-count"]?.integerValue } == [1, 1, 0])
    }

    @Test func `Beyond its delivery limit a message is dead-lettered, as the version counts`() async throws {
        for (version, counted) in [(BrokerVersion(3, 10), true), (BrokerVersion(4, 3), false)] {
            let harness = BrokerHarness(version)
            try await harness.declare("dead")
            try await harness.declare("q", .quorum) {
                $0.deliveryLimit = 2
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = "dead"
            }
            try await harness.publish("A", to: "q")
            for _ in 1...3 { try await harness.get(1, from: "q")[0].nack(requeue: true) }
            #expect(harness.ready("dead").isEmpty == !counted)
            if counted { continue }
            for _ in 1...3 { try await harness.get(1, from: "q")[0].reject(requeue: true) }
            let headers = try #require(harness.broker.readyMessages(in: "dead").first?.properties.headers)
            #expect(headers["x-first-death-reason"] == "delivery_limit")
        }
    }

    @Test func `Settling twice, or after the connection's end, does nothing`() async throws {
        let harness = BrokerHarness()
        try await harness.declare("q")
        try await harness.publish(all: ["A", "B"], to: "q")
        let other = harness.broker.connect()
        let first = try #require(try await other.get(queue: "q"))
        first.ack()
        first.nack(requeue: true)
        let second = try #require(try await other.get(queue: "q"))
        await other.close()
        second.ack()
        #expect(second.isLost)
        #expect(harness.ready("q") == ["B"])
    }
}
