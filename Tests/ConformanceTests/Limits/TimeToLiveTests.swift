import AMQP
import Testing

extension Conformance {
    /// How long a message waits.
    @Suite struct TimeToLiveTests {
        static let short = Duration.milliseconds(100)

        @Test(arguments: Broker.all, QueueKind.common)
        func `a queue drops what has waited too long`(_ broker: Broker, _ kind: QueueKind) async throws {
            let short = try await broker.queue(kind) { $0.messageTTL = Self.short }
            let long = try await broker.queue(kind) { $0.messageTTL = .seconds(60) }
            for queue in [short, long] { try await broker.publish(["a", "b"], to: queue) }
            try await broker.waitForReady(0, in: short)
            try await broker.waitForReady(2, in: long)
        }

        @Test(arguments: Broker.all, QueueKind.common)
        func `a message's own expiration counts`(_ broker: Broker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish("a", to: queue) { $0.expiration = "100" }
            try await broker.publish("b", to: queue)
            try await broker.pass(.milliseconds(100))
            try await broker.waitForReady(1, in: queue)
            try await broker.expect(queue, holds: ["b"])
        }

        @Test(arguments: Broker.all, QueueKind.common)
        func `of the queue's time and the message's the shorter counts`(
            _ broker: Broker,
            _ kind: QueueKind
        ) async throws {
            let long = try await broker.queue(kind) { $0.messageTTL = .seconds(60) }
            try await broker.publish("a", to: long) { $0.expiration = "50" }
            let short = try await broker.queue(kind) { $0.messageTTL = .milliseconds(50) }
            try await broker.publish("a", to: short) { $0.expiration = "60000" }
            try await broker.waitForReady(0, in: long)
            try await broker.waitForReady(0, in: short)
        }

        @Test(arguments: Broker.all, QueueKind.common)
        func `what is over goes only once it is at the head`(_ broker: Broker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish("a", to: queue)
            try await broker.publish("b", to: queue) { $0.expiration = "30" }
            try await broker.publish("c", to: queue)
            try await broker.pass(.milliseconds(150))
            #expect(try await broker.ready(queue) == 3)
            #expect(try await broker.take(queue).text == "a")
            #expect(try await broker.take(queue).text == "c")
        }

        @Test(arguments: Broker.all, QueueKind.common)
        func `a time of nought drops what no consumer takes at once`(_ broker: Broker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind) { $0.messageTTL = .zero }
            try await broker.publish("a", to: queue)
            try await broker.waitForReady(0, in: queue)
            let consumer = try await broker.consume(queue)
            try await consumer.expectNone()
        }

        @Test(arguments: Broker.all)
        func `a time of nought lets a waiting consumer have its message`(_ broker: Broker) async throws {
            let queue = try await broker.queue(.classic) { $0.messageTTL = .zero }
            let consumer = try await broker.consume(queue, prefetch: 1)
            try await broker.publish(["a", "b"], to: queue)
            let first = try await consumer.next()
            #expect(first.text == "a")
            first.ack()
            try await consumer.expectNone()
        }

        @Test(arguments: Broker.all)
        func `an expiration of nought drops what no consumer takes at once`(_ broker: Broker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue) { $0.expiration = "0" }
            try await broker.waitForReady(0, in: queue)
            let consumer = try await broker.consume(queue)
            try await broker.publish("b", to: queue) { $0.expiration = "0" }
            #expect(try await consumer.take() == "b")
        }

        @Test(arguments: Broker.all, QueueKind.common)
        func `what is unsettled does not expire`(_ broker: Broker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind) { $0.messageTTL = Self.short }
            let consumer = try await broker.consume(queue)
            try await broker.publish("a", to: queue)
            let held = try await consumer.next()
            try await broker.pass(Self.short * 2)
            held.ack()
            try await broker.publish("b", to: queue)
            #expect(try await consumer.take() == "b")
        }

        @Test(arguments: Broker.all, QueueKind.common)
        func `what is given back after its time is dropped`(_ broker: Broker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind) { $0.messageTTL = .milliseconds(400) }
            let consumer = try await broker.consume(queue)
            try await broker.publish("a", to: queue)
            let held = try await consumer.next()
            await consumer.cancel()
            try await broker.pass(.milliseconds(600))
            held.nack(requeue: true)
            try await broker.waitForReady(0, in: queue)
            let next = try await broker.transport.get(queue: queue)
            #expect(next == nil)
        }

        @Test(arguments: Broker.all)
        func `messages expire in their order`(_ broker: Broker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.classic) {
                $0.messageTTL = .milliseconds(50)
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = dead
            }
            try await broker.publish(["a", "b", "c"], to: queue)
            try await broker.waitForReady(3, in: dead)
            try await broker.expect(dead, holds: ["a", "b", "c"])
        }
    }

    /// How long a queue goes unused.
    @Suite struct QueueExpiryTests {
        /// Long enough for a busy machine to use the queue before.
        static let short = Duration.seconds(2)

        @Test(arguments: Broker.all, QueueKind.common)
        func `an unused queue goes with its messages`(_ broker: Broker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind) { $0.expires = Self.short }
            try await broker.publish("a", to: queue)
            try await broker.waitForExpiry(of: queue, after: Self.short)
        }

        @Test(arguments: Broker.all)
        func `a consumer keeps a queue, and the time runs from its end`(_ broker: Broker) async throws {
            let queue = try await broker.queue(.classic) { $0.expires = Self.short }
            let consumer = try await broker.consume(queue)
            try await broker.pass(Self.short * 2)
            #expect(consumer.stream.isRegistered)
            #expect(try await broker.exists(queue))
            await consumer.close()
            try await broker.waitForExpiry(of: queue, after: Self.short)
        }

        @Test(arguments: Broker.all)
        func `getting, even nothing, keeps a queue`(_ broker: Broker) async throws {
            // With each life that is too short for a busy machine to get in time, a longer one.
            for expiry in [Duration.seconds(1), .seconds(4), .seconds(16)] {
                let queue = try await broker.queue(.classic) { $0.expires = expiry }
                var isInTime = true
                do {
                    for _ in 0..<4 {
                        let start = ContinuousClock.now
                        try await broker.pass(expiry * 0.35)
                        _ = try await broker.transport.get(queue: queue)
                        if ContinuousClock.now - start > expiry * 0.7 { isInTime = false }
                    }
                    if try await broker.exists(queue) { return }
                } catch let error as AMQPError where error.code == .notFound {}
                #expect(!isInTime, "it expired although it was used")
            }
        }

        @Test(arguments: Broker.all)
        func `publishing does not keep a queue`(_ broker: Broker) async throws {
            let queue = try await broker.queue(.classic) { $0.expires = .milliseconds(600) }
            for _ in 0..<3 {
                // While it goes, RabbitMQ may refuse a message.
                _ = try? await broker.routes("", queue)
                try await broker.pass(.milliseconds(150))
            }
            try await broker.waitForExpiry(of: queue, after: .milliseconds(600))
        }

        @Test(arguments: Broker.all)
        func `what goes with a queue is not dead-lettered`(_ broker: Broker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.classic) {
                $0.expires = Self.short
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = dead
            }
            try await broker.publish("a", to: queue)
            try await broker.waitForExpiry(of: queue, after: Self.short)
            #expect(try await broker.ready(dead) == 0)
        }
    }
}
