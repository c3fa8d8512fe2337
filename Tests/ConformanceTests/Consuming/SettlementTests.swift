import AMQP
import Testing

extension Conformance {
    @Suite struct SettlementTests {
        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `An acknowledged message is removed`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b"], to: queue)
            let consumer = try await broker.consume(queue)
            for delivery in try await consumer.next(2) { delivery.ack() }
            await consumer.close()
            try await broker.pass(.milliseconds(20))
            #expect(try await broker.ready(queue) == 0)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A requeued message is redelivered and marked as such`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish("a", to: queue)
            let consumer = try await broker.consume(queue)
            let first = try await consumer.next()
            #expect(!first.isRedelivered)
            first.nack(requeue: true)
            let second = try await consumer.next()
            #expect(second.isRedelivered)
            second.reject(requeue: true)
            let third = try await consumer.next()
            #expect(third.isRedelivered)
            #expect(third.text == "a")
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A discarded message is dropped without a dead-letter exchange`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b", "c"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 1)
            try await consumer.next().nack(requeue: false)
            try await consumer.next().reject(requeue: false)
            let last = try await consumer.next()
            #expect(last.text == "c")
            #expect(!last.isRedelivered)
            #expect(try await broker.ready(queue) == 0)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A second settlement does nothing`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish(["a", "b"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 1)
            let first = try await consumer.next()
            first.ack()
            first.nack(requeue: true)
            first.ack()
            #expect(try await consumer.take() == "b")
            try await consumer.expectNone()
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Deliveries are settled in any order`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b", "c", "d"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 4)
            let held = try await consumer.next(4)
            held[2].ack()
            held[0].ack()
            held[3].nack(requeue: true)
            let again = try await consumer.next()
            #expect(again.text == "d")
            again.ack()
            await consumer.close()
            try await broker.waitForReady(1, in: queue)
            #expect(try await broker.take(queue).text == "b")
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Unsettled messages are requeued when their consumer is closed, marked as redelivered`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b", "c"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 2)
            let held = try await consumer.next(2)
            await consumer.close()
            #expect(held.map(\.isLost) == [true, true])
            held[0].ack()
            try await broker.waitForReady(3, in: queue)
            var found: [(String, Bool)] = []
            for _ in 0..<3 {
                let delivery = try await broker.get(queue)
                found.append((delivery.text, delivery.isRedelivered))
            }
            found.sort { $0.0 < $1.0 }
            #expect(found.map(\.0) == ["a", "b", "c"])
            #expect(found.map(\.1) == [true, true, false])
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Unsettled messages are requeued when their connection is closed, marked as redelivered`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b"], to: queue)
            let other = broker.connect()
            let consumer = try await broker.consume(queue, on: other)
            let held = try await consumer.next(2)
            held[0].ack()
            await other.close()
            try await broker.waitForReady(1, in: queue)
            let again = try await broker.get(queue)
            #expect(again.text == "b")
            #expect(again.isRedelivered)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Closing one consumer leaves another's deliveries alone`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let one = try await broker.consume(queue, prefetch: 1)
            let other = try await broker.consume(queue, prefetch: 1)
            try await broker.publish(["a", "b"], to: queue)
            let kept = try await one.next()
            _ = try await other.next()
            await other.close()
            #expect(!kept.isLost)
            kept.ack()
            let again = try await one.next()
            #expect(again.isRedelivered)
            #expect(again.text != kept.text)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Another consumer gets a requeued message`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let one = try await broker.consume(queue, prefetch: 1)
            try await broker.publish("a", to: queue)
            let held = try await one.next()
            let other = try await broker.consume(queue, prefetch: 1)
            await one.cancel()
            held.nack(requeue: true)
            let again = try await other.next()
            #expect(again.text == "a")
            #expect(again.isRedelivered)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Unsettled messages don't count as ready until they are requeued`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue()
            try await broker.publish(["a", "b"], to: queue)
            let held = [try await broker.get(queue), try await broker.get(queue)]
            #expect(try await broker.ready(queue) == 0)
            for delivery in held { delivery.nack(requeue: true) }
            try await broker.waitForReady(2, in: queue)
        }
    }

    /// The place of a requeued message.
    @Suite struct RequeuePositionTests {
        @Test(arguments: ConformanceBroker.all)
        func `A classic queue requeues a message at its original place`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish(["a", "b", "c", "d"], to: queue)
            let held = [try await broker.get(queue), try await broker.get(queue), try await broker.get(queue)]
            for index in [1, 2, 0] {
                held[index].nack(requeue: true)
                try await broker.waitForReady(index == 1 ? 2 : index == 2 ? 3 : 4, in: queue)
            }
            try await broker.expect(queue, holds: ["a", "b", "c", "d"])
        }

        @Test(arguments: ConformanceBroker.all, [false, true])
        func `A quorum queue requeues a message depending on version and delivery limit`(
            _ broker: ConformanceBroker,
            _ hasLimit: Bool
        ) async throws {
            let queue = try await broker.queue(.quorum) { $0.deliveryLimit = hasLimit ? 10 : nil }
            try await broker.publish(["a", "b", "c", "d"], to: queue)
            let held = [try await broker.get(queue), try await broker.get(queue), try await broker.get(queue)]
            for (ready, index) in [(2, 1), (3, 0), (4, 2)] {
                held[index].nack(requeue: true)
                try await broker.waitForReady(ready, in: queue)
            }
            let limited = hasLimit || broker.features.defaultDeliveryLimit != nil
            let isBack = broker.features.requeuePosition(hasDeliveryLimit: limited) == .back
            // Before the others. RabbitMQ's documentation says "to its original position", but it is the order of
            // requeueing.
            let expected = isBack ? ["d", "b", "a", "c"] : ["b", "a", "c", "d"]
            try await broker.expect(queue, holds: expected)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A closed consumer's messages are requeued at a classic queue's head, in order`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue()
            try await broker.publish(["a", "b", "c", "d"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 3)
            _ = try await consumer.next(3)
            await consumer.close()
            try await broker.waitForReady(4, in: queue)
            try await broker.expect(queue, holds: ["a", "b", "c", "d"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A closed consumer's messages are requeued at a quorum queue's head, in order`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.quorum)
            try await broker.publish(["a", "b", "c", "d"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 3)
            _ = try await consumer.next(3)
            await consumer.close()
            try await broker.waitForReady(4, in: queue)
            // Without a limit, 3.10 puts requeued messages behind the others, but not those of a closed consumer.
            try await broker.expect(queue, holds: ["a", "b", "c", "d"])
        }
    }
}
