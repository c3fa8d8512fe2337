import AMQP
import Testing

extension Conformance {
    /// The time to live of messages.
    @Suite struct TimeToLiveTests {
        static let short = Duration.milliseconds(100)

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A queue drops messages that exceed its time to live`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let short = try await broker.queue(kind) { $0.messageTTL = Self.short }
            let long = try await broker.queue(kind) { $0.messageTTL = .seconds(60) }
            for queue in [short, long] { try await broker.publish(["a", "b"], to: queue) }
            try await broker.waitForReady(0, in: short)
            try await broker.waitForReady(2, in: long)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A message's own expiration counts`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish("a", to: queue) { $0.expiration = "100" }
            try await broker.publish("b", to: queue)
            try await broker.pass(.milliseconds(100))
            try await broker.waitForReady(1, in: queue)
            try await broker.expect(queue, holds: ["b"])
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Of the queue's and the message's time to live, the shorter counts`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let long = try await broker.queue(kind) { $0.messageTTL = .seconds(60) }
            try await broker.publish("a", to: long) { $0.expiration = "50" }
            let short = try await broker.queue(kind) { $0.messageTTL = .milliseconds(50) }
            try await broker.publish("a", to: short) { $0.expiration = "60000" }
            try await broker.waitForReady(0, in: long)
            try await broker.waitForReady(0, in: short)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `An expired message is removed only once it is at the head`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish("a", to: queue)
            try await broker.publish("b", to: queue) { $0.expiration = "30" }
            try await broker.publish("c", to: queue)
            try await broker.pass(.milliseconds(150))
            #expect(try await broker.ready(queue) == 3)
            #expect(try await broker.take(queue).text == "a")
            #expect(try await broker.take(queue).text == "c")
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A time to live of zero drops messages without a waiting consumer`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind) { $0.messageTTL = .zero }
            try await broker.publish("a", to: queue)
            try await broker.waitForReady(0, in: queue)
            let consumer = try await broker.consume(queue)
            try await consumer.expectNone()
        }

        @Test(arguments: ConformanceBroker.all)
        func `A time to live of zero lets a waiting consumer have its message`(_ broker: ConformanceBroker) async throws
        {
            let queue = try await broker.queue(.classic) { $0.messageTTL = .zero }
            let consumer = try await broker.consume(queue, prefetch: 1)
            try await broker.publish(["a", "b"], to: queue)
            let first = try await consumer.next()
            #expect(first.text == "a")
            first.ack()
            try await consumer.expectNone()
        }

        @Test(arguments: ConformanceBroker.all)
        func `An expiration of zero drops messages without a waiting consumer`(_ broker: ConformanceBroker) async throws
        {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue) { $0.expiration = "0" }
            try await broker.waitForReady(0, in: queue)
            let consumer = try await broker.consume(queue)
            try await broker.publish("b", to: queue) { $0.expiration = "0" }
            #expect(try await consumer.take() == "b")
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Unsettled messages don't expire`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind) { $0.messageTTL = Self.short }
            let consumer = try await broker.consume(queue)
            try await broker.publish("a", to: queue)
            let held = try await consumer.next()
            try await broker.pass(Self.short * 2)
            held.ack()
            try await broker.publish("b", to: queue)
            #expect(try await consumer.take() == "b")
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A message requeued after its expiry is dropped`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
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

        @Test(arguments: ConformanceBroker.all)
        func `Messages expire in order`(_ broker: ConformanceBroker) async throws {
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

    /// The expiry of unused queues.
    @Suite struct QueueExpiryTests {
        /// Long enough for a busy machine to use the queue before.
        static let short = Duration.seconds(2)

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `An unused queue expires with its messages`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind) { $0.expires = Self.short }
            try await broker.publish("a", to: queue)
            try await broker.waitForExpiry(of: queue, after: Self.short)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A consumer keeps a queue from expiring, and the time runs from its end`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.classic) { $0.expires = Self.short }
            let consumer = try await broker.consume(queue)
            try await broker.pass(Self.short * 2)
            #expect(consumer.stream.isRegistered)
            #expect(try await broker.exists(queue))
            await consumer.close()
            try await broker.waitForExpiry(of: queue, after: Self.short)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A get keeps a queue from expiring, even if it returns nothing`(_ broker: ConformanceBroker) async throws {
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

        @Test(arguments: ConformanceBroker.all)
        func `Publishing doesn't keep a queue from expiring`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.expires = .milliseconds(600) }
            for _ in 0..<3 {
                // While it goes, RabbitMQ may refuse a message.
                _ = try? await broker.routes("", queue)
                try await broker.pass(.milliseconds(150))
            }
            try await broker.waitForExpiry(of: queue, after: .milliseconds(600))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Messages of an expired queue are not dead-lettered`(_ broker: ConformanceBroker) async throws {
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
