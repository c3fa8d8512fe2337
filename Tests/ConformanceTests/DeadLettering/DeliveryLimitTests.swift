import AMQP
import Testing

extension Conformance {
    /// How often a quorum queue delivers a message.
    @Suite struct DeliveryLimitTests {
        @Test(arguments: ConformanceBroker.all)
        func `a quorum queue counts what is given back with reject`(_ broker: ConformanceBroker) async throws {
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
        func `a quorum queue counts what is given back with nack, by version`(_ broker: ConformanceBroker) async throws
        {
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
        func `late quorum queues tell how often a message was delivered before`(
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
        func `a quorum queue counts what a closed consumer had`(_ broker: ConformanceBroker) async throws {
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
        func `what was returned too often is dead-lettered`(_ broker: ConformanceBroker) async throws {
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
        func `what was returned too often is dropped where there are no dead letters`(
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
        func `a limit of nought lets a message be delivered once`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.quorum, deadLettersTo: dead) { $0.deliveryLimit = 0 }
            try await broker.publish("a", to: queue)
            try await broker.get(queue).reject(requeue: true)
            #expect(try await broker.take(dead).deaths.first?["reason"] == "delivery_limit")
        }

        @Test(arguments: ConformanceBroker.all)
        func `a quorum queue without a limit has the version's`(_ broker: ConformanceBroker) async throws {
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
        func `a classic queue counts nothing`(_ broker: ConformanceBroker) async throws {
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
        func `a delivery count is left behind in the dead letter`(_ broker: ConformanceBroker) async throws {
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
    /// How often the message was returned before, as a quorum queue counts.
    var deliveryCount: Int64 { header("x-delivery-count")?.integerValue ?? 0 }
}
