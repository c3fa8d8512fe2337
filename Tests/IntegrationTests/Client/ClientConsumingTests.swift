import AMQP
import RabbitMQ
import TestSupport
import Testing

@Suite(.needsBroker, .timeLimit(.minutes(1)))
struct ClientConsumingTests {
    /// Publishes messages whose bodies are the numbers from 0.
    private func publish(_ count: UInt8, to queue: String, _ client: RabbitMQClient) async throws {
        for number in 0..<count { try await client.publish(Message(body: [number]), to: .queue(queue)) }
    }

    /// Waits until a queue holds this many ready messages: a channel's close gives them back some time after it is
    /// answered.
    private func waitForReady(_ count: Int, in queue: String, _ client: RabbitMQClient) async throws {
        try await until { try await client.status(ofQueue: queue).messageCount == count }
    }

    @Test func `No more deliveries than the prefetch are unsettled`() async throws {
        try await withQueue { client, queue in
            try await publish(5, to: queue, client)
            let deliveries = try await client.consume(queue: queue, prefetch: 2)
            var reader = deliveries.makeAsyncIterator()
            let first = try #require(try await reader.next())
            let second = try #require(try await reader.next())
            #expect(try await client.status(ofQueue: queue).messageCount == 3)
            first.ack()
            let third = try #require(try await reader.next())
            #expect([first, second, third].map(\.message.body) == [[0], [1], [2]])
            await deliveries.cancel(requeuesUnsettled: true)
            try await waitForReady(4, in: queue, client)
        }
    }

    @Test func `A requeued delivery arrives again, marked as redelivered`() async throws {
        try await withQueue { client, queue in
            try await publish(1, to: queue, client)
            let deliveries = try await client.consume(queue: queue, prefetch: 1)
            var reader = deliveries.makeAsyncIterator()
            let first = try #require(try await reader.next())
            #expect(!first.isRedelivered)
            first.nack(requeue: true)
            let second = try #require(try await reader.next())
            #expect(second.isRedelivered)
            second.reject(requeue: true)
            let third = try #require(try await reader.next())
            third.ack()
            third.ack()
            await deliveries.cancel(requeuesUnsettled: true)
            try await waitForReady(0, in: queue, client)
        }
    }

    @Test func `A rejected delivery goes to the dead-letter exchange`() async throws {
        try await withQueue { client, dead in
            let arguments = QueueArguments(.classic) { arguments in
                arguments.deadLetterExchange = ""
                arguments.deadLetterRoutingKey = dead
            }
            let queue = TestBroker.uniqueName("queue")
            try await client.declare(QueueDeclaration(queue, arguments: arguments))
            try await publish(1, to: queue, client)
            try #require(try await client.get(queue: queue)).reject(requeue: false)
            try await waitForReady(1, in: dead, client)
            let letter = try #require(try await client.get(queue: dead))
            #expect(letter.message.properties.headers?["x-first-death-reason"] == "rejected")
            letter.ack()
            try await client.deleteQueue(queue)
        }
    }

    @Test func `A cancelled consumer's stream ends, and its deliveries can still be settled`() async throws {
        try await withQueue { client, queue in
            try await publish(3, to: queue, client)
            let deliveries = try await client.consume(queue: queue, prefetch: 10)
            var reader = deliveries.makeAsyncIterator()
            let first = try #require(try await reader.next())
            await deliveries.cancel()
            var rest: [Delivery] = []
            while let delivery = try await reader.next() { rest.append(delivery) }
            for delivery in [first] + rest { delivery.ack() }
            await deliveries.cancel(requeuesUnsettled: true)
            try await waitForReady(0, in: queue, client)
            #expect(rest.count == 2)
        }
    }

    @Test func `A queue deleted under its consumer ends the stream with an error that names the queue`() async throws {
        try await withQueue { client, queue in
            try await publish(1, to: queue, client)
            let deliveries = try await client.consume(queue: queue, prefetch: 10)
            var reader = deliveries.makeAsyncIterator()
            let first = try #require(try await reader.next())
            try await client.deleteQueue(queue)
            let error = try await endOfStream(&reader)
            #expect(error.code == .consumerCancelled)
            #expect(error.message.contains(queue))
            #expect(error.isRetriable)
            first.ack()
            await deliveries.cancel(requeuesUnsettled: true)
        }
    }

    @Test func `Consuming a queue that does not exist is an error that names it`() async throws {
        try await withClient { client in
            let error = try await amqpError { _ = try await client.consume(queue: "test-nowhere", prefetch: 1) }
            #expect(error.code == .notFound)
            #expect(error.message.contains("test-nowhere"))
        }
    }

    @Test func `A stream and a client may be closed by several tasks at once`() async throws {
        try await withQueue { _, queue in
            try await withClient { client in try await closeByManyTasks(client, queue) }
        }
    }

    private func closeByManyTasks(_ client: RabbitMQClient, _ queue: String) async throws {
        let deliveries = try await client.consume(queue: queue, prefetch: 1)
        await withDiscardingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask { await deliveries.cancel() }
                group.addTask { await deliveries.cancel(requeuesUnsettled: true) }
            }
        }
        _ = try await client.consume(queue: queue, prefetch: 1)
        await withDiscardingTaskGroup { group in
            for _ in 0..<4 { group.addTask { await client.close() } }
        }
    }

    @Test func `Getting from an empty queue returns nothing`() async throws {
        try await withQueue { client, queue in
            let delivery = try await client.get(queue: queue)
            #expect(delivery?.tag == nil)
        }
    }

    @Test func `A reader whose task is cancelled stops reading`() async throws {
        try await withQueue { client, queue in
            let deliveries = try await client.consume(queue: queue, prefetch: 1)
            let reading = Task {
                for try await delivery in deliveries { delivery.ack() }
            }
            reading.cancel()
            try await reading.value
            await deliveries.cancel(requeuesUnsettled: true)
        }
    }

    @Test func `One hundred consumers share one connection`() async throws {
        try await withQueue { client, queue in
            let consumers = try await withThrowingTaskGroup(of: DeliveryStream.self) { group in
                for _ in 0..<100 { group.addTask { try await client.consume(queue: queue, prefetch: 1) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(try await client.status(ofQueue: queue).consumerCount == 100)
            for consumer in consumers { await consumer.cancel(requeuesUnsettled: true) }
            #expect(try await client.status(ofQueue: queue).consumerCount == 0)
        }
    }
}
