import AMQP
import Testing

extension Conformance {
    /// The delivery limit of quorum queues.
    @Suite struct DeliveryLimitTests {
        @Test(arguments: ConformanceBroker.all)
        func `A quorum queue counts a requeue by reject`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.quorum) { $0.deliveryLimit = 10 }
            try await broker.publish("a", to: queue)
            for count in 0..<4 {
                let delivery = try await broker.get(queue)
                #expect(delivery.deliveryCount == Int64(count))
                #expect(delivery.isRedelivered == (count > 0))
                delivery.reject(requeue: true)
                try await broker.waitForReady(1, in: queue)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A quorum queue counts a requeue by nack, depending on the version`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.quorum) { $0.deliveryLimit = 10 }
            try await broker.publish("a", to: queue)
            for count in 0..<4 {
                let delivery = try await broker.get(queue)
                let expected = broker.features.nackCountsTowardsDeliveryLimit ? count : 0
                #expect(delivery.deliveryCount == Int64(expected))
                delivery.nack(requeue: true)
                try await broker.waitForReady(1, in: queue)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Quorum queues of late versions report all earlier deliveries of a message`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.quorum)
            try await broker.publish("a", to: queue)
            for count in 0..<3 as Range<Int64> {
                let delivery = try await broker.get(queue)
                let acquired = delivery.header("x-acquired-count")?.integerValue ?? 0
                #expect(acquired == (broker.features.marksAcquiredCount ? count : 0))
                delivery.nack(requeue: true)
                try await broker.waitForReady(1, in: queue)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A quorum queue counts the deliveries of a closed consumer`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.quorum) { $0.deliveryLimit = 10 }
            try await broker.publish("a", to: queue)
            for count in 0..<3 {
                let consumer = try await broker.consume(queue)
                #expect(try await consumer.next().deliveryCount == Int64(count))
                await consumer.close()
                try await broker.waitForReady(1, in: queue)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message beyond its delivery limit is dead-lettered`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.quorum, deadLettersTo: dead) { $0.deliveryLimit = 2 }
            try await broker.publish("a", to: queue)
            for _ in 0..<3 {
                try await broker.get(queue).reject(requeue: true)
            }
            let letter = try await broker.take(dead)
            #expect(letter.text == "a")
            #expect(letter.deaths.first?["reason"] == "delivery_limit")
            #expect(try await broker.ready(queue) == 0)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message beyond its delivery limit is dropped without a dead-letter exchange`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.quorum) { $0.deliveryLimit = 1 }
            try await broker.publish(["a", "b"], to: queue)
            for _ in 0..<2 {
                let delivery = try await broker.get(queue)
                #expect(delivery.text == "a")
                delivery.reject(requeue: true)
                try await broker.pass(.milliseconds(10))
            }
            #expect(try await broker.take(queue).text == "b")
            #expect(try await broker.ready(queue) == 0)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A delivery limit of zero allows one delivery`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.quorum, deadLettersTo: dead) { $0.deliveryLimit = 0 }
            try await broker.publish("a", to: queue)
            try await broker.get(queue).reject(requeue: true)
            #expect(try await broker.take(dead).deaths.first?["reason"] == "delivery_limit")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A quorum queue without a delivery limit has its version's default`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.quorum)
            try await broker.publish("a", to: queue)
            let consumer = try await broker.consume(queue, prefetch: 1)
            for _ in 0...20 { try await consumer.next().reject(requeue: true) }
            if broker.features.defaultDeliveryLimit == 20 {
                try await consumer.expectNone()
            } else {
                #expect(try await consumer.next().deliveryCount == 21)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A classic queue counts nothing`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            for _ in 0..<5 {
                let delivery = try await broker.get(queue)
                #expect(delivery.header("x-delivery-count") == nil)
                delivery.reject(requeue: true)
            }
            #expect(try await broker.take(queue).text == "a")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A dead letter still has its delivery count`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.quorum, deadLettersTo: dead) { $0.deliveryLimit = 2 }
            try await broker.publish("a", to: queue)
            for _ in 0..<3 { try await broker.get(queue).reject(requeue: true) }
            let count = try await broker.take(dead).header("x-delivery-count")
            #expect(count == nil)
        }
    }
}

extension Delivery {
    /// The earlier deliveries that a quorum queue has counted.
    var deliveryCount: Int64 { header("x-delivery-count")?.integerValue ?? 0 }
}
