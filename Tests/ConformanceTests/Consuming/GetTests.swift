import AMQP
import Testing

extension Conformance {
    @Suite struct GetTests {
        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A get takes the oldest message, or none if the queue is empty`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            #expect(try await broker.transport.get(queue: queue) == nil)
            try await broker.publish(["a", "b"], to: queue)
            #expect(try await broker.get(queue).text == "a")
            #expect(try await broker.get(queue).text == "b")
            #expect(try await broker.transport.get(queue: queue) == nil)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A get returns queue, exchange and key`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.topic)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "#")
            let destination = Destination(exchange: exchange, routingKey: "a.b")
            try await broker.publish("a", to: destination)
            let delivery = try await broker.get(queue)
            #expect(delivery.queue == queue)
            #expect(delivery.destination == destination)
            #expect(!delivery.isRedelivered)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Getting from a queue that does not exist is an error that names it`(
            _ broker: ConformanceBroker
        ) async throws {
            let nowhere = broker.name("nowhere")
            await expectRefusal(.notFound, 404, saying: nowhere) { _ = try await broker.transport.get(queue: nowhere) }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message that was got and requeued is marked as redelivered`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            try await broker.get(queue).reject(requeue: true)
            #expect(try await broker.get(queue).isRedelivered)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A message that was got and not settled is requeued when its connection closes`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish("a", to: queue)
            let other = broker.connect()
            try await broker.waitForReady(1, in: queue)
            let held = try await #require(other.get(queue: queue))
            await other.close()
            #expect(held.isLost)
            try await broker.waitForReady(1, in: queue)
            #expect(try await broker.get(queue).isRedelivered)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A get beside a consumer takes a message for which the consumer has no room`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue()
            let consumer = try await broker.consume(queue, prefetch: 1)
            try await broker.publish(["a", "b"], to: queue)
            #expect(try await consumer.next().text == "a")
            #expect(try await broker.get(queue).text == "b")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A get doesn't count as a consumer`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            _ = try await broker.get(queue)
            #expect(try await broker.transport.status(ofQueue: queue).consumerCount == 0)
        }
    }
}
