import AMQP
import Testing

extension Conformance {
    @Suite struct PrefetchTests {
        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `At most as many deliveries as the prefetch are unsettled`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b", "c", "d"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 2)
            let held = try await consumer.next(2)
            #expect(held.map(\.text) == ["a", "b"])
            try await consumer.expectNone()
            try await broker.waitForReady(2, in: queue)
            held[0].ack()
            #expect(try await consumer.next().text == "c")
            try await consumer.expectNone()
        }

        @Test(arguments: ConformanceBroker.all)
        func `A prefetch of zero means no limit`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish((0..<100).map(String.init), to: queue)
            let consumer = try await broker.consume(queue, prefetch: 0)
            #expect(try await consumer.next(100).count == 100)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Each consumer has its own prefetch`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let one = try await broker.consume(queue, prefetch: 1)
            let other = try await broker.consume(queue, prefetch: 2)
            try await broker.publish(["a", "b", "c", "d"], to: queue)
            _ = try await one.next()
            _ = try await other.next(2)
            try await one.expectNone()
            try await other.expectNone()
            #expect(try await broker.ready(queue) == 1)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message that was got singly doesn't count towards a prefetch`(_ broker: ConformanceBroker) async throws
        {
            let queue = try await broker.queue()
            try await broker.publish(["a", "b", "c"], to: queue)
            _ = try await broker.get(queue)
            let consumer = try await broker.consume(queue, prefetch: 1)
            #expect(try await consumer.take(2) == ["b", "c"])
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Rejecting a message makes room for the next`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws
        {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b", "c"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 1)
            try await consumer.next().nack(requeue: false)
            try await consumer.next().reject(requeue: false)
            #expect(try await consumer.take() == "c")
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A waiting consumer gets the next published message`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            let consumer = try await broker.consume(queue)
            for text in ["a", "b", "c"] {
                try await broker.publish(text, to: queue)
                #expect(try await consumer.take() == text)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Two consumers are served in turn`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let one = try await broker.consume(queue)
            let other = try await broker.consume(queue)
            try await broker.publish((0..<8).map(String.init), to: queue)
            let (ones, others) = (try await one.take(4), try await other.take(4))
            #expect(Set([ones, others]) == [["0", "2", "4", "6"], ["1", "3", "5", "7"]])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A consumer with a full prefetch is passed over`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let slow = try await broker.consume(queue, prefetch: 1)
            try await broker.publish("0", to: queue)
            _ = try await slow.next()
            let quick = try await broker.consume(queue, prefetch: 10)
            try await broker.publish(["1", "2", "3"], to: queue)
            #expect(try await quick.take(3) == ["1", "2", "3"])
        }
    }
}
