import AMQP
import RabbitMQ
import TestSupport
import Testing

/// Tests that would disturb others, on a private broker.
@Suite(.needsBroker, .privateBrokers, .timeLimit(.minutes(15)), .serialized)
struct DisturbedBrokerTests {
    @Test func `A client survives alarms, closed connections and late settlements`() async throws {
        try await PrivateBroker.run { broker in
            try await withClient(url: broker.url) { client in
                try await client.declare(QueueDeclaration("letters", arguments: QueueArguments(.quorum)))
                try await client.publish(Message(body: [1]), to: .queue("letters"))
                let deliveries = try await client.consume(queue: "letters", prefetch: 10)
                var reader = deliveries.makeAsyncIterator()
                let first = try #require(try await reader.next())

                try await memoryAlarm(broker, client, first)
                try await closedByOperator(broker, client, &reader)
            }
        }
    }

    /// While an alarm stops publishers, a publish fails in time and says why, and acknowledgements go through.
    private func memoryAlarm(_ broker: PrivateBroker, _ client: RabbitMQClient, _ delivery: Delivery) async throws {
        try await broker.ctl("set_vm_memory_high_watermark", "0")
        // The broker reports the alarm only after a first publish, which it may not confirm.
        try await until {
            _ = try? await client.publish(Message(body: [2]), to: .queue("letters"), timeout: .milliseconds(500))
            return client.health.publishing.blockedReason != nil
        }
        // It ends before the alarm does.
        let error = try await amqpError {
            try await client.publish(Message(body: [3]), to: .queue("letters"), timeout: .milliseconds(500))
        }
        #expect(error.code == .blocked)
        #expect(error.message.contains("low on memory"))
        #expect(error.outcomeIsKnown)
        delivery.ack()
        try await broker.ctl("set_vm_memory_high_watermark", "0.4")
        try await client.publish(Message(body: [4]), to: .queue("letters"), timeout: .seconds(20))
    }

    /// After the operator has closed all connections, a stream continues over a new one, and settling earlier
    /// deliveries does nothing: the broker delivers it again.
    private func closedByOperator(
        _ broker: PrivateBroker,
        _ client: RabbitMQClient,
        _ reader: inout DeliveryStream.Iterator
    ) async throws {
        let held = try #require(try await reader.next())
        #expect(!held.isLost)
        try await broker.ctl("close_all_connections", "maintenance")
        let redelivered = try #require(try await reader.next())
        #expect(held.isLost)
        #expect(redelivered.isRedelivered)
        #expect(redelivered.message.body == held.message.body)
        held.ack()
        redelivered.ack()
        try await client.publish(Message(body: [5]), to: .queue("letters"))
        var bodies: [[UInt8]] = []
        while bodies.last != [5], let next = try await reader.next() {
            bodies.append(next.message.body)
            next.ack()
        }
        // The broker may have taken more than one of those that it didn't confirm.
        #expect(bodies.filter { $0 != [2] } == [[4], [5]])
        #expect(client.statistics.reconnects >= 1)
        #expect(client.statistics.lateSettlements == 1)
    }
}
