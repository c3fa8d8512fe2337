import AMQP
import Testing

extension Conformance {
    @Suite struct PublishingTests {
        @Test(arguments: Broker.all)
        func `a mandatory message that no queue takes is unroutable`(_ broker: Broker) async throws {
            let nowhere = broker.name("nowhere")
            await expectRefusal(.unroutable, 312, saying: "NO_ROUTE") { try await broker.publish("a", to: nowhere) }
        }

        @Test(arguments: Broker.all)
        func `a message that is not mandatory and that no queue takes is dropped`(_ broker: Broker) async throws {
            try await broker.publish("a", to: broker.name("nowhere"), mandatory: false)
            let exchange = try await broker.exchange()
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: ""), mandatory: false)
        }

        @Test(arguments: Broker.all)
        func `publishing to an exchange that does not exist is an error that names it`(_ broker: Broker) async throws {
            let nowhere = broker.name("nowhere")
            for mandatory in [true, false] {
                await expectRefusal(.notFound, 404, saying: "no exchange '\(nowhere)'") {
                    let destination = Destination(exchange: nowhere, routingKey: "key")
                    try await broker.publish("a", to: destination, mandatory: mandatory)
                }
            }
        }

        @Test(arguments: Broker.all)
        func `a refused publish leaves what comes after it alone`(_ broker: Broker) async throws {
            let queue = try await broker.queue()
            let nowhere = Destination(exchange: broker.name("nowhere"), routingKey: "")
            try await broker.publish("a", to: queue)
            await expectRefusal(.notFound) { try await broker.publish("b", to: nowhere) }
            try await broker.publish("c", to: queue)
            try await broker.expect(queue, holds: ["a", "c"])
        }

        @Test(arguments: Broker.all, QueueKind.common)
        func `a publish returns once the message is in its queue`(_ broker: Broker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            for number in 1...5 {
                try await broker.publish("\(number)", to: queue)
                // A quorum queue counts what it has confirmed a moment later.
                try await broker.waitForReady(number, in: queue)
            }
        }

        @Test(arguments: Broker.all, QueueKind.common)
        func `one publisher's messages keep their order`(_ broker: Broker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            let texts = (0..<50).map(String.init)
            try await broker.publish(texts, to: queue)
            let consumer = try await broker.consume(queue, prefetch: 100)
            #expect(try await consumer.take(50) == texts)
        }

        @Test(arguments: Broker.all, QueueKind.common)
        func `each of many publishes at once arrives once`(_ broker: Broker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            try await withThrowingDiscardingTaskGroup { group in
                for number in 0..<200 {
                    group.addTask { try await broker.publish("\(number)", to: queue) }
                }
            }
            let consumer = try await broker.consume(queue, prefetch: 300)
            let texts = try await consumer.take(200)
            #expect(Set(texts).count == 200)
            try await broker.waitForReady(0, in: queue)
        }

        @Test(arguments: Broker.all)
        func `a deadline that has passed sends nothing`(_ broker: Broker) async throws {
            let queue = try await broker.queue()
            await expectRefusal(.deadlineExceeded) {
                try await broker.transport.publish(
                    Message(body: [1]),
                    to: .queue(queue),
                    mandatory: true,
                    deadline: .now - .seconds(1)
                )
            }
            #expect(try await broker.ready(queue) == 0)
        }

        @Test(arguments: Broker.all)
        func `a routing key of 255 bytes is routed, and one of 256 refused`(_ broker: Broker) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            let key = String(repeating: "k", count: 255)
            try await broker.bind(queue, to: exchange, key)
            #expect(try await broker.routes(exchange, key))
            await expectRefusal(.invalidArgument) { _ = try await broker.routes(exchange, key + "k") }
        }

        @Test(arguments: Broker.all)
        func `a message for several queues is confirmed when all have it`(_ broker: Broker) async throws {
            let exchange = try await broker.exchange()
            var queues: [String] = []
            for kind in [QueueKind.classic, .quorum, .classic, .quorum] { queues.append(try await broker.queue(kind)) }
            for queue in queues { try await broker.bind(queue, to: exchange) }
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: ""))
            for queue in queues { #expect(try await broker.take(queue).text == "a") }
        }

        @Test(arguments: Broker.all)
        func `publishers on two connections fill one queue`(_ broker: Broker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            try await broker.connect().publish(
                Message(body: [98]),
                to: .queue(queue),
                mandatory: true,
                deadline: .now + .seconds(60)
            )
            try await broker.expect(queue, holds: ["a", "b"])
        }
    }
}
