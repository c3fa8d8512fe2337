import AMQP
import Testing

extension Conformance {
    @Suite struct DeletionTests {
        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Deleting a queue returns the number of ready messages`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b", "c"], to: queue)
            try await broker.waitForReady(3, in: queue)
            #expect(try await broker.transport.deleteQueue(queue) == 3)
            #expect(try await !broker.exists(queue))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Deleting a queue does not count unsettled messages`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish(["a", "b", "c"], to: queue)
            _ = try await broker.get(queue)
            #expect(try await broker.transport.deleteQueue(queue) == 2)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Deleting a queue that does not exist is not an error`(_ broker: ConformanceBroker) async throws {
            #expect(try await broker.transport.deleteQueue(broker.name("nowhere")) == 0)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A deleted queue's name is free for another queue`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            try await broker.transport.deleteQueue(queue)
            try await broker.declare(QueueDeclaration(queue, arguments: QueueArguments(.quorum)))
            #expect(try await broker.ready(queue) == 0)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A deleted queue's bindings are removed with it`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange()
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange)
            try await broker.transport.deleteQueue(queue)
            try await broker.declare(QueueDeclaration(queue, arguments: QueueArguments(.classic)))
            #expect(try await !broker.routes(exchange))
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Purging removes ready messages and keeps unsettled ones`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b", "c"], to: queue)
            try await broker.waitForReady(3, in: queue)
            let held = try await broker.get(queue)
            #expect(try await broker.transport.purgeQueue(queue) == 2)
            #expect(try await broker.ready(queue) == 0)
            held.nack(requeue: true)
            #expect(try await broker.take(queue).text == "a")
        }

        @Test(arguments: ConformanceBroker.all)
        func `Purging a queue that does not exist is an error`(_ broker: ConformanceBroker) async throws {
            let name = broker.name("nowhere")
            await expectRefusal(.notFound, 404, saying: name) { try await broker.transport.purgeQueue(name) }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Purging does not dead-letter`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.classic) {
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = dead
            }
            try await broker.publish(["a", "b"], to: queue)
            #expect(try await broker.transport.purgeQueue(queue) == 2)
            try await broker.pass(.milliseconds(20))
            #expect(try await broker.ready(dead) == 0)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Deleting a queue does not dead-letter`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.classic) {
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = dead
            }
            try await broker.publish(["a", "b"], to: queue)
            try await broker.transport.deleteQueue(queue)
            try await broker.pass(.milliseconds(20))
            #expect(try await broker.ready(dead) == 0)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Deleting an exchange that does not exist is not an error`(_ broker: ConformanceBroker) async throws {
            try await broker.transport.deleteExchange(broker.name("nowhere"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Deleting an exchange removes its bindings`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange()
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange)
            try await broker.transport.deleteExchange(exchange)
            #expect(try await !broker.transport.exchangeExists(exchange))
            try await broker.declare(ExchangeDeclaration(exchange, kind: .fanout))
            #expect(try await !broker.routes(exchange))
        }

        @Test(arguments: ConformanceBroker.all)
        func `The predeclared exchanges can't be deleted`(_ broker: ConformanceBroker) async throws {
            await expectRefusal(.accessRefused, 403, saying: "amq.direct") {
                try await broker.transport.deleteExchange("amq.direct")
            }
        }
    }
}
