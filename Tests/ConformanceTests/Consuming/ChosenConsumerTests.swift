import AMQP
import Testing

extension Conformance {
    /// Queues with a single active consumer.
    @Suite struct SingleActiveConsumerTests {
        private func queue(_ broker: ConformanceBroker, _ kind: QueueKind) async throws -> String {
            try await broker.queue(kind) { $0.singleActiveConsumer = true }
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `The first consumer gets all messages, and the others wait`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await queue(broker, kind)
            let first = try await broker.consume(queue, prefetch: 2)
            let second = try await broker.consume(queue, prefetch: 2)
            try await broker.publish(["a", "b", "c"], to: queue)
            #expect(try await first.next(2).map(\.text) == ["a", "b"])
            try await second.expectNone()
            try await broker.waitForReady(1, in: queue)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `The next consumer takes over from a closed one, with its unsettled messages`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await queue(broker, kind)
            let first = try await broker.consume(queue, prefetch: 1)
            let second = try await broker.consume(queue, prefetch: 1)
            try await broker.publish("a", to: queue)
            _ = try await first.next()
            await first.close()
            let again = try await second.next()
            #expect(again.text == "a")
            #expect(again.isRedelivered)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `The next consumer takes over from a cancelled one`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await queue(broker, kind)
            let first = try await broker.consume(queue, prefetch: 1)
            let second = try await broker.consume(queue, prefetch: 1)
            let third = try await broker.consume(queue, prefetch: 1)
            await first.cancel()
            try await broker.publish("a", to: queue)
            #expect(try await second.take() == "a")
            try await third.expectNone()
        }

        @Test(arguments: ConformanceBroker.all)
        func `A consumer of higher priority takes over a quorum queue, depending on the version`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await queue(broker, .quorum)
            let first = try await broker.consume(queue, prefetch: 1)
            let second = try await broker.consume(queue, prefetch: 1, arguments: ["x-priority": 5])
            try await broker.publish("a", to: queue)
            let takesOver = broker.features.prefersHigherPriorityActiveConsumer
            #expect(try await (takesOver ? second : first).take() == "a")
            try await (takesOver ? first : second).expectNone()
        }

        @Test(arguments: ConformanceBroker.all)
        func `A consumer that is gone does not take over`(_ broker: ConformanceBroker) async throws {
            let queue = try await queue(broker, .classic)
            let first = try await broker.consume(queue, prefetch: 1)
            let second = try await broker.consume(queue, prefetch: 1)
            let third = try await broker.consume(queue, prefetch: 1)
            await second.close()
            await first.close()
            try await broker.publish("a", to: queue)
            #expect(try await third.take() == "a")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A get works beside the active consumer`(_ broker: ConformanceBroker) async throws {
            let queue = try await queue(broker, .classic)
            try await broker.publish(["a", "b"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 1)
            #expect(try await consumer.next().text == "a")
            #expect(try await broker.get(queue).text == "b")
        }
    }

    /// Consumers with priorities.
    @Suite struct ConsumerPriorityTests {
        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `The highest priority gets all messages while it has room, then the next`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            let low = try await broker.consume(queue, prefetch: 10, arguments: ["x-priority": -5])
            let high = try await broker.consume(queue, prefetch: 2, arguments: ["x-priority": 10])
            let middle = try await broker.consume(queue, prefetch: 1)
            try await broker.publish(["a", "b", "c", "d", "e"], to: queue)
            #expect(try await high.next(2).map(\.text) == ["a", "b"])
            #expect(try await middle.next().text == "c")
            #expect(try await low.next(2).map(\.text) == ["d", "e"])
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `The higher priority is served again once it has room`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            let high = try await broker.consume(queue, prefetch: 1, arguments: ["x-priority": 1])
            let low = try await broker.consume(queue, prefetch: 1)
            try await broker.publish(["a", "b", "c"], to: queue)
            let first = try await high.next()
            #expect(try await low.next().text == "b")
            first.ack()
            #expect(try await high.next().text == "c")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A priority that isn't a number is refused`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            await expectRefusal(.refused, 406, saying: "x-priority") {
                _ = try await broker.consume(queue, arguments: ["x-priority": "high"])
            }
        }
    }
}
