import AMQP
import Testing

extension Conformance {
    /// Queues that belong to one connection.
    @Suite struct ExclusiveQueueTests {
        /// Declares an exclusive queue on a new connection.
        private func exclusive(_ broker: ConformanceBroker) async throws -> (owner: any Transport, queue: String) {
            let owner = broker.connect()
            let queue = broker.name("mine")
            try await broker.declare(QueueDeclaration(queue, isDurable: false, isExclusive: true), on: owner)
            return (owner, queue)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Its owner can use it`(_ broker: ConformanceBroker) async throws {
            let (owner, queue) = try await exclusive(broker)
            try await broker.publish("a", to: queue)
            let consumer = try await broker.consume(queue, on: owner)
            #expect(try await consumer.take() == "a")
            await consumer.close()
            #expect(try await owner.purgeQueue(queue) == 0)
            try await owner.declare(QueueDeclaration(queue, isDurable: false, isExclusive: true))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Others can publish to it`(_ broker: ConformanceBroker) async throws {
            let (owner, queue) = try await exclusive(broker)
            try await broker.publish("a", to: queue)
            #expect(try await owner.status(ofQueue: queue).messageCount == 1)
        }

        struct Use: Sendable, CustomTestStringConvertible {
            var name: String
            var body: @Sendable (any Transport, String) async throws -> Void

            init(_ name: String, _ body: @escaping @Sendable (any Transport, String) async throws -> Void) {
                self.name = name
                self.body = body
            }

            var testDescription: String { name }
        }

        static let uses = [
            Use("status") { _ = try await $0.status(ofQueue: $1) },
            Use("declare exclusively") {
                try await $0.declare(QueueDeclaration($1, isDurable: false, isExclusive: true))
            },
            Use("declare") { try await $0.declare(QueueDeclaration($1, isDurable: false)) },
            Use("consume") { _ = try await $0.consume(queue: $1, prefetch: 1, arguments: [:]) },
            Use("get") { _ = try await $0.get(queue: $1) },
            Use("purge") { try await $0.purgeQueue($1) },
            Use("delete") { try await $0.deleteQueue($1) },
            Use("bind") { try await $0.bind(Binding(from: "amq.direct", to: .queue($1), routingKey: "key")) },
        ]

        @Test(arguments: ConformanceBroker.all, uses)
        func `Others may not use it`(_ broker: ConformanceBroker, _ use: Use) async throws {
            let (owner, queue) = try await exclusive(broker)
            await expectRefusal(.resourceLocked, 405, saying: queue) { try await use.body(broker.transport, queue) }
            #expect(try await broker.exists(queue, on: owner))
        }

        @Test(arguments: ConformanceBroker.all)
        func `It is deleted with its owner's connection`(_ broker: ConformanceBroker) async throws {
            let (owner, queue) = try await exclusive(broker)
            try await broker.publish("a", to: queue)
            await owner.close()
            try await broker.waitForEnd(of: queue)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Its name is free once its owner is gone`(_ broker: ConformanceBroker) async throws {
            let (owner, queue) = try await exclusive(broker)
            await owner.close()
            try await broker.waitForEnd(of: queue)
            try await broker.declare(QueueDeclaration(queue))
        }

        @Test(arguments: ConformanceBroker.all)
        func `It is not deleted with another connection`(_ broker: ConformanceBroker) async throws {
            let (owner, queue) = try await exclusive(broker)
            let other = broker.connect()
            _ = try await other.broker()
            await other.close()
            #expect(try await broker.exists(queue, on: owner))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Its unsettled messages are not dead-lettered when it is deleted`(_ broker: ConformanceBroker) async throws
        {
            let dead = try await broker.queue()
            let owner = broker.connect()
            let queue = broker.name("mine")
            let arguments = QueueArguments(.classic) {
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = dead
            }
            try await broker.declare(
                QueueDeclaration(queue, isDurable: false, isExclusive: true, arguments: arguments),
                on: owner
            )
            try await broker.publish(["a", "b"], to: queue)
            _ = try await owner.get(queue: queue)
            await owner.close()
            try await broker.waitForEnd(of: queue)
            try await broker.pass(.milliseconds(20))
            #expect(try await broker.ready(dead) == 0)
        }
    }

    /// Queues that are deleted with their last consumer.
    @Suite struct AutoDeleteQueueTests {
        private func autoDelete(_ broker: ConformanceBroker) async throws -> String {
            try await broker.declare(QueueDeclaration(broker.name("passing"), isAutoDelete: true))
        }

        @Test(arguments: ConformanceBroker.all)
        func `It stays until it has had a consumer`(_ broker: ConformanceBroker) async throws {
            let queue = try await autoDelete(broker)
            try await broker.publish("a", to: queue)
            _ = try await broker.take(queue)
            try await broker.pass(.milliseconds(30))
            #expect(try await broker.exists(queue))
        }

        @Test(arguments: ConformanceBroker.all)
        func `It is deleted when its consumer is cancelled`(_ broker: ConformanceBroker) async throws {
            let queue = try await autoDelete(broker)
            try await broker.publish("a", to: queue)
            let consumer = try await broker.consume(queue)
            await consumer.cancel()
            try await broker.waitForEnd(of: queue)
        }

        @Test(arguments: ConformanceBroker.all)
        func `It is deleted when its consumer is closed`(_ broker: ConformanceBroker) async throws {
            let queue = try await autoDelete(broker)
            let consumer = try await broker.consume(queue)
            await consumer.close()
            try await broker.waitForEnd(of: queue)
        }

        @Test(arguments: ConformanceBroker.all)
        func `It is deleted with its consumer's connection`(_ broker: ConformanceBroker) async throws {
            let queue = try await autoDelete(broker)
            let other = broker.connect()
            _ = try await broker.consume(queue, on: other)
            await other.close()
            try await broker.waitForEnd(of: queue)
        }

        @Test(arguments: ConformanceBroker.all)
        func `It stays while it has one consumer`(_ broker: ConformanceBroker) async throws {
            let queue = try await autoDelete(broker)
            let one = try await broker.consume(queue)
            let other = try await broker.consume(queue)
            await one.close()
            try await broker.pass(.milliseconds(30))
            #expect(try await broker.exists(queue))
            await other.close()
            try await broker.waitForEnd(of: queue)
        }
    }
}
