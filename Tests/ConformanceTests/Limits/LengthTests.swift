import AMQP
import Testing

extension Conformance {
    /// The limits of a queue's length.
    @Suite struct LengthTests {
        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A full queue drops its oldest message`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let queue = try await broker.queue(kind) { $0.maxLength = 2 }
            try await broker.publish(["a", "b", "c", "d"], to: queue)
            try await broker.waitForReady(2, in: queue)
            try await broker.expect(queue, holds: ["c", "d"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A limit in bytes counts the bodies`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxLengthBytes = 10 }
            try await broker.publish(["12345", "abcde", "x"], to: queue)
            try await broker.expect(queue, holds: ["abcde", "x"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `Of two limits, in messages and bytes, the one reached first counts`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.classic) {
                $0.maxLength = 2
                $0.maxLengthBytes = 10
            }
            try await broker.publish(["1", "2", "3"], to: queue)
            try await broker.waitForReady(2, in: queue)
            try await broker.publish("abcdefghi", to: queue)
            try await broker.expect(queue, holds: ["3", "abcdefghi"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message larger than the queue is dropped with all before it`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxLengthBytes = 5 }
            try await broker.publish(["a", "b", "123456"], to: queue)
            try await broker.expect(queue, holds: [])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A queue without room delivers to a waiting consumer`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxLength = 0 }
            try await broker.publish("a", to: queue)
            #expect(try await broker.ready(queue) == 0)
            let consumer = try await broker.consume(queue)
            try await broker.publish("b", to: queue)
            #expect(try await consumer.take() == "b")
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Unsettled messages don't count towards the limit`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind) { $0.maxLength = 2 }
            try await broker.publish(["a", "b"], to: queue)
            let held = [try await broker.get(queue), try await broker.get(queue)]
            try await broker.publish(["c", "d"], to: queue)
            try await broker.waitForReady(2, in: queue)
            try await broker.expect(queue, holds: ["c", "d"])
            held[0].ack()
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message requeued to a full queue drops the oldest`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxLength = 2 }
            try await broker.publish("a", to: queue)
            let held = try await broker.get(queue)
            try await broker.publish(["b", "c"], to: queue)
            held.nack(requeue: true)
            try await broker.pass(.milliseconds(30))
            try await broker.expect(queue, holds: ["b", "c"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message requeued to a full queue is dropped even if a consumer has room`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.classic) { $0.maxLength = 2 }
            let consumer = try await broker.consume(queue, prefetch: 1)
            try await broker.publish(["a", "b", "c"], to: queue)
            try await consumer.next().nack(requeue: true)
            #expect(try await consumer.take(2) == ["b", "c"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A full queue that rejects publishes nacks them, and keeps its messages`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.classic) {
                $0.maxLength = 2
                $0.overflow = .rejectPublish
            }
            try await broker.publish(["a", "b"], to: queue)
            for text in ["c", "d"] {
                await expectRefusal(.nacked) { try await broker.publish(text, to: queue) }
            }
            #expect(try await broker.take(queue).text == "a")
            try await broker.publish("e", to: queue)
            try await broker.expect(queue, holds: ["b", "e"])
        }

        // The number of messages beyond the limit varies: RabbitMQ checks the limit only once it has counted them.
        @Test(arguments: ConformanceBroker.all)
        func `A full quorum queue that rejects publishes nacks them eventually`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.quorum) {
                $0.maxLength = 2
                $0.overflow = .rejectPublish
            }
            try await broker.eventually {
                do {
                    try await broker.publish("a", to: queue)
                    return false
                } catch let error as AMQPError where error.code == .nacked {
                    return true
                }
            }
            let count = try await broker.ready(queue)
            #expect((2...10).contains(count), "\(count)")
        }

        @Test(arguments: ConformanceBroker.all)
        func `One full queue of several causes a nack, and the others have the message`(
            _ broker: ConformanceBroker
        ) async throws {
            let exchange = try await broker.exchange()
            let full = try await broker.queue(.classic) {
                $0.maxLength = 0
                $0.overflow = .rejectPublish
            }
            let roomy = try await broker.queue()
            for queue in [full, roomy] { try await broker.bind(queue, to: exchange) }
            await expectRefusal(.nacked) {
                try await broker.publish("a", to: Destination(exchange: exchange, routingKey: ""))
            }
            try await broker.expect(roomy, holds: ["a"])
            #expect(try await broker.ready(full) == 0)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Messages requeued to a full queue are dead-lettered in the version's order`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(kind, deadLettersTo: dead) { $0.maxLength = 2 }
            try await broker.publish(["a", "b"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 2)
            for _ in 0..<2 { _ = try await consumer.next() }
            try await broker.publish(["c", "d"], to: queue)
            await consumer.stream.cancel(requeuesUnsettled: true)
            try await broker.eventually("both died") { try await broker.ready(dead) == 2 }
            let isReversed = kind == .quorum && broker.features.deadLettersSurplusInReverse
            try await broker.expect(dead, holds: isReversed ? ["b", "a"] : ["a", "b"])
            try await broker.expect(queue, holds: ["c", "d"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A full queue can reject and dead-letter a publish`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.classic) {
                $0.maxLength = 1
                $0.overflow = .rejectPublishDLX
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = dead
            }
            try await broker.publish("a", to: queue)
            await expectRefusal(.nacked) { try await broker.publish("b", to: queue) }
            let letter = try await broker.take(dead)
            #expect(letter.text == "b")
            #expect(letter.deaths.first?["reason"] == "maxlen")
            try await broker.expect(queue, holds: ["a"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A full queue that only rejects publishes dead-letters nothing`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.classic) {
                $0.maxLength = 1
                $0.overflow = .rejectPublish
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = dead
            }
            try await broker.publish("a", to: queue)
            await expectRefusal(.nacked) { try await broker.publish("b", to: queue) }
            try await broker.pass(.milliseconds(20))
            #expect(try await broker.ready(dead) == 0)
        }
    }
}
