import AMQP
import EmbeddedBroker
import Testing

@Suite(.timeLimit(.minutes(1))) struct EmbeddedBrokerTests {
    @Test func `A message is published, consumed and acknowledged`() async throws {
        let broker = EmbeddedBroker()
        try await broker.declare(QueueDeclaration("orders"))
        let stream = try await broker.consume(queue: "orders", prefetch: 1)
        for number in 1...3 as ClosedRange<UInt8> {
            try await broker.publish(Message(body: [number]), to: .queue("orders"))
        }
        var iterator = stream.makeAsyncIterator()
        for number in 1...3 as ClosedRange<UInt8> {
            let delivery = try #require(try await iterator.next())
            #expect(delivery.message.body == [number])
            #expect(!delivery.isRedelivered)
            delivery.ack()
        }
        #expect(try await broker.status(ofQueue: "orders").messageCount == 0)
        #expect(broker.unsettledCount(of: "orders") == 0)
    }

    @Test func `A mandatory message that reaches no queue is unroutable`() async throws {
        let broker = EmbeddedBroker()
        let error = await #expect(throws: AMQPError.self) {
            try await broker.publish(Message(body: []), to: .queue("nowhere"))
        }
        #expect(error?.code == .unroutable)
        try await broker.publish(Message(body: []), to: .queue("nowhere"), mandatory: false)
    }
}
