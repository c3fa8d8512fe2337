import AMQP
import Testing

extension Conformance {
    /// The order of messages with priorities.
    @Suite struct PriorityTests {
        private func publish(
            _ priorities: [(String, UInt8?)],
            to queue: String,
            _ broker: ConformanceBroker
        ) async throws {
            for (text, priority) in priorities {
                try await broker.publish(text, to: queue) { $0.priority = priority }
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Higher priorities go first, equal ones in their order`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxPriority = 10 }
            let published: [(String, UInt8?)] = [("a", 1), ("b", 5), ("c", 1), ("d", 10), ("e", 5)]
            try await publish(published, to: queue, broker)
            try await broker.expect(queue, holds: ["d", "b", "e", "a", "c"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message without priority has the lowest`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxPriority = 5 }
            try await publish([("a", nil), ("b", 0), ("c", 1), ("d", nil)], to: queue, broker)
            try await broker.expect(queue, holds: ["c", "a", "b", "d"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A priority above the maximum counts as the maximum`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxPriority = 3 }
            try await publish([("a", 3), ("b", 200), ("c", 3), ("d", 2)], to: queue, broker)
            try await broker.expect(queue, holds: ["a", "b", "c", "d"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A queue without priorities ignores them`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await publish([("a", 1), ("b", 5), ("c", 3)], to: queue, broker)
            try await broker.expect(queue, holds: ["a", "b", "c"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A requeued message keeps its priority and place`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxPriority = 5 }
            try await publish([("a", 1), ("b", 1), ("c", 1)], to: queue, broker)
            let held = try await broker.get(queue)
            try await publish([("d", 5)], to: queue, broker)
            held.nack(requeue: true)
            try await broker.waitForReady(4, in: queue)
            try await broker.expect(queue, holds: ["d", "a", "b", "c"])
        }

        // Surprisingly not the lowest priority: RabbitMQ drops the message that it would deliver next.
        @Test(arguments: ConformanceBroker.all)
        func `A full queue with priorities drops its highest priority`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) {
                $0.maxPriority = 5
                $0.maxLength = 2
            }
            try await publish([("a", 5), ("b", 1), ("c", 3)], to: queue, broker)
            try await broker.expect(queue, holds: ["c", "b"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A waiting consumer with room gets a lower priority at once`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxPriority = 5 }
            let consumer = try await broker.consume(queue, prefetch: 2)
            try await publish([("a", 1), ("b", 1), ("c", 1), ("d", 5)], to: queue, broker)
            #expect(try await consumer.take(4) == ["a", "b", "d", "c"])
        }

        // 4.0 serves two messages of its high class for each normal one, so that none waits endlessly.
        @Test(arguments: ConformanceBroker.all)
        func `A quorum queue has priorities, depending on the version`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.quorum)
            try await publish([("a", 1), ("b", 9), ("c", 1)], to: queue, broker)
            try await broker.waitForReady(3, in: queue)
            let hasPriorities = broker.features.quorumQueuePriorities > 1
            try await broker.expect(queue, holds: hasPriorities ? ["b", "a", "c"] : ["a", "b", "c"])
        }
    }
}
