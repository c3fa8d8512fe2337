import AMQP
import Testing

extension Conformance {
    /// The start and end of a consumer.
    @Suite struct ConsumerTests {
        @Test(arguments: ConformanceBroker.all)
        func `Consuming a queue that does not exist is an error that names it`(_ broker: ConformanceBroker) async throws
        {
            let nowhere = broker.name("nowhere")
            await expectRefusal(.notFound, 404, saying: "no queue '\(nowhere)'") {
                _ = try await broker.consume(nowhere)
            }
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A queue counts its consumers`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            func count() async throws -> Int { try await broker.transport.status(ofQueue: queue).consumerCount }
            let one = try await broker.consume(queue)
            try await broker.eventually { try await count() == 1 }
            let other = try await broker.consume(queue)
            try await broker.eventually { try await count() == 2 }
            await one.cancel()
            try await broker.eventually { try await count() == 1 }
            await other.close()
            try await broker.eventually { try await count() == 0 }
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A cancelled consumer's stream ends, and its deliveries can still be settled`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b", "c"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 2)
            let held = try await consumer.next(2)
            await consumer.cancel()
            #expect(try await consumer.end() == nil)
            #expect(!held[0].isLost)
            held[0].ack()
            held[1].nack(requeue: true)
            try await broker.waitForReady(2, in: queue)
            #expect(try await Set(broker.drain(queue)) == ["b", "c"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A cancelled consumer's unsettled messages stay out of the queue`(_ broker: ConformanceBroker) async throws
        {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            let consumer = try await broker.consume(queue)
            _ = try await consumer.next()
            await consumer.cancel()
            try await broker.pass(.milliseconds(20))
            #expect(try await broker.ready(queue) == 0)
            await consumer.close()
            try await broker.waitForReady(1, in: queue)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A cancelled consumer gets nothing more`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let consumer = try await broker.consume(queue)
            await consumer.cancel()
            try await broker.publish("a", to: queue)
            #expect(try await broker.ready(queue) == 1)
            #expect(!consumer.stream.isRegistered)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A closed consumer's stream ends without an error`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let consumer = try await broker.consume(queue)
            await consumer.close()
            #expect(try await consumer.end() == nil)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A closed connection's streams end`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let other = broker.connect()
            let consumer = try await broker.consume(queue, on: other)
            await other.close()
            #expect(try await consumer.end() == nil)
            try await broker.eventually { try await broker.transport.status(ofQueue: queue).consumerCount == 0 }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Ending a consumer twice does nothing`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let consumer = try await broker.consume(queue)
            for _ in 0..<2 {
                await consumer.cancel()
                await consumer.close()
            }
            #expect(try await broker.exists(queue))
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A queue deleted under its consumer ends the stream with an error`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish("a", to: queue)
            let consumer = try await broker.consume(queue)
            let held = try await consumer.next()
            try await broker.transport.deleteQueue(queue)
            let error = try await consumer.end()
            #expect(error?.code == .consumerCancelled)
            #expect(error?.message.contains(queue) == true)
            #expect(!consumer.stream.isRegistered)
            held.ack()
        }

        @Test(arguments: ConformanceBroker.all)
        func `Consumers on several connections share a queue`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let one = try await broker.consume(queue, prefetch: 1)
            let other = try await broker.consume(queue, prefetch: 1, on: broker.connect())
            try await broker.publish(["a", "b"], to: queue)
            #expect(try await Set([one.next().text, other.next().text]) == ["a", "b"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `An unknown consumer argument is accepted`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let consumer = try await broker.consume(queue, arguments: ["x-unheard-of": 1])
            try await broker.publish("a", to: queue)
            #expect(try await consumer.take() == "a")
        }
    }
}
