import AMQP
import Testing

extension Conformance {
    @Suite struct PublishingTests {
        @Test(arguments: ConformanceBroker.all)
        func `A mandatory message that reaches no queue is unroutable`(_ broker: ConformanceBroker) async throws {
            let nowhere = broker.name("nowhere")
            await expectRefusal(.unroutable, 312, saying: "NO_ROUTE") { try await broker.publish("a", to: nowhere) }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message that isn't mandatory is dropped if it reaches no queue`(
            _ broker: ConformanceBroker
        ) async throws {
            try await broker.publish("a", to: broker.name("nowhere"), mandatory: false)
            let exchange = try await broker.exchange()
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: ""), mandatory: false)
        }

        @Test(arguments: ConformanceBroker.all)
        func `Publishing to an exchange that does not exist is an error that names it`(
            _ broker: ConformanceBroker
        ) async throws {
            let nowhere = broker.name("nowhere")
            for mandatory in [true, false] {
                await expectRefusal(.notFound, 404, saying: "no exchange '\(nowhere)'") {
                    let destination = Destination(exchange: nowhere, routingKey: "key")
                    try await broker.publish("a", to: destination, mandatory: mandatory)
                }
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A refused publish doesn't affect later ones`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let nowhere = Destination(exchange: broker.name("nowhere"), routingKey: "")
            try await broker.publish("a", to: queue)
            await expectRefusal(.notFound) { try await broker.publish("b", to: nowhere) }
            try await broker.publish("c", to: queue)
            try await broker.expect(queue, holds: ["a", "c"])
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A publish returns once the message is in its queue`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            for number in 1...5 {
                try await broker.publish("\(number)", to: queue)
                // A quorum queue counts a confirmed message a moment later.
                try await broker.waitForReady(number, in: queue)
            }
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `One publisher's messages keep their order`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            let texts = (0..<50).map(String.init)
            try await broker.publish(texts, to: queue)
            let consumer = try await broker.consume(queue, prefetch: 100)
            #expect(try await consumer.take(50) == texts)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Each of many concurrent publishes arrives once`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
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

        @Test(arguments: ConformanceBroker.all)
        func `A publish whose deadline has passed is not sent`(_ broker: ConformanceBroker) async throws {
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

        @Test(arguments: ConformanceBroker.all)
        func `A routing key of 255 bytes is routed, and one of 256 refused`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            let key = String(repeating: "k", count: 255)
            try await broker.bind(queue, to: exchange, key)
            #expect(try await broker.routes(exchange, key))
            await expectRefusal(.invalidArgument) { _ = try await broker.routes(exchange, key + "k") }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message for several queues is confirmed once all have it`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange()
            var queues: [String] = []
            for kind in [QueueKind.classic, .quorum, .classic, .quorum] { queues.append(try await broker.queue(kind)) }
            for queue in queues { try await broker.bind(queue, to: exchange) }
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: ""))
            for queue in queues { #expect(try await broker.take(queue).text == "a") }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Publishers on two connections fill one queue`(_ broker: ConformanceBroker) async throws {
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
