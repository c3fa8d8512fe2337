import AMQP
import EmbeddedBroker
import Testing

@Suite(.timeLimit(.minutes(1))) struct BrokerTotalsTests {
    private let harness = BrokerHarness()
    private var totals: BrokerTotals { harness.broker.totals }

    @Test func `A message counts as published wherever it goes, unless its exchange doesn't exist`() async throws {
        try await harness.declare("orders")
        try await harness.publish("kept", to: "orders")
        _ = await amqpError { try await harness.publish("unroutable", to: "nowhere") }
        _ = await amqpError {
            try await harness.broker.publish(Message(body: []), to: Destination(exchange: "none", routingKey: "a"))
        }
        try await harness.publish("with a copy", to: "orders") { $0.headers = ["CC": ["orders"]] }
        #expect(totals.published == 3)
        #expect(totals.delivered == 0)
    }

    @Test func `Deliveries to consumers and gets count, and so do their settlements`() async throws {
        try await harness.declare("orders", .quorum)
        try await harness.publish(all: ["a", "b", "c", "d"], to: "orders")
        let deliveries = try await harness.get(3, from: "orders")
        deliveries[0].ack()
        deliveries[1].nack(requeue: true)
        deliveries[2].nack(requeue: false)
        // Settled already, so nothing happens.
        deliveries[0].nack(requeue: true)
        #expect((totals.delivered, totals.redelivered, totals.acknowledged, totals.requeued) == (3, 0, 1, 1))
        let stream = try await harness.broker.consume(queue: "orders", prefetch: 2)
        #expect((totals.delivered, totals.redelivered) == (5, 1))
        #expect(harness.broker.unsettledCount == 2)
        await stream.cancel(requeuesUnsettled: true)
        #expect(harness.broker.unsettledCount == 0)
        #expect(totals.requeued == 3)
        #expect(totals.acknowledged == 1)
    }

    @Test func `Messages of a lost connection count as requeued, and are redelivered`() async throws {
        try await harness.declare("orders")
        try await harness.publish("a", to: "orders")
        let stream = try await harness.broker.consume(queue: "orders", prefetch: 1)
        harness.broker.closeConnections()
        #expect((totals.delivered, totals.redelivered, totals.requeued) == (2, 1, 1))
        #expect(harness.broker.channelCount == 1)
        await stream.cancel()
        #expect(harness.broker.consumerCount(of: "orders") == 0)
        #expect(harness.broker.channelCount == 1)
        await stream.cancel(requeuesUnsettled: true)
        #expect(harness.broker.channelCount == 0)
        #expect(totals.requeued == 2)
    }
}
