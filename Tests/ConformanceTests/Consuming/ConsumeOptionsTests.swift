import AMQP
import Testing

extension Conformance {
    /// The uncommon properties of a consumer, and conditions for deletions.
    @Suite struct ConsumeOptionsTests {
        private func consume(
            _ queue: String,
            _ broker: ConformanceBroker,
            prefetch: UInt16 = 10,
            _ options: ConsumeOptions
        ) async throws -> Consumer {
            Consumer(
                try await broker.transport.consume(queue: queue, prefetch: prefetch, options: options),
                of: broker
            )
        }

        @Test(arguments: ConformanceBroker.all)
        func `An exclusive consumer of a classic queue is alone`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic)
            let only = try await consume(queue, broker, ConsumeOptions(isExclusive: true))
            await expectRefusal(.accessRefused, 403, saying: "queue '\(queue)' in vhost '/' in exclusive use") {
                _ = try await broker.consume(queue)
            }
            await only.close()
            let other = try await broker.consume(queue)
            await expectRefusal(.accessRefused, 403, saying: "queue '\(queue)' in vhost '/' in exclusive use") {
                _ = try await consume(queue, broker, ConsumeOptions(isExclusive: true))
            }
            await other.close()
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A message that is acknowledged as it is sent is gone, and settling it does nothing`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish(["a", "b", "c"], to: queue)
            let options = ConsumeOptions(consumerTag: "reader", isAutomaticallyAcknowledged: true)
            let consumer = try await consume(queue, broker, prefetch: 1, options)
            let all = try await consumer.next(3)
            #expect(all.map(\.text) == ["a", "b", "c"])
            all[0].ack()
            all[1].nack(requeue: true)
            #expect(!all[2].isLost)
            await consumer.close()
            try await broker.pass(.milliseconds(20))
            #expect(try await broker.ready(queue) == 0)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A queue in use, or with messages, is not deleted on that condition`(
            _ broker: ConformanceBroker
        ) async throws {
            let queue = try await broker.queue(.classic)
            let consumer = try await broker.consume(queue)
            await expectRefusal(.refused, 406, saying: "queue '\(queue)' in vhost '/' in use") {
                try await broker.transport.deleteQueue(queue, ifUnused: true, ifEmpty: false)
            }
            await consumer.close()
            try await broker.publish("a", to: queue)
            try await broker.waitForReady(1, in: queue)
            await expectRefusal(.refused, 406, saying: "queue '\(queue)' in vhost '/' not empty") {
                try await broker.transport.deleteQueue(queue, ifUnused: true, ifEmpty: true)
            }
            #expect(try await broker.transport.deleteQueue(queue, ifUnused: true, ifEmpty: false) == 1)
        }

        @Test(arguments: ConformanceBroker.all)
        func `An exchange with bindings is not deleted on that condition`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic)
            let exchange = try await broker.exchange(.direct)
            let binding = Binding(from: exchange, to: .queue(queue), routingKey: "key")
            try await broker.transport.bind(binding)
            await expectRefusal(.refused, 406, saying: "exchange '\(exchange)' in vhost '/' in use") {
                try await broker.transport.deleteExchange(exchange, ifUnused: true)
            }
            try await broker.transport.unbind(binding)
            try await broker.transport.deleteExchange(exchange, ifUnused: true)
            #expect(try await !broker.transport.exchangeExists(exchange))
        }
    }
}
