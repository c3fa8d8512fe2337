import AMQP
import Testing

extension Conformance {
    /// The effects of operators and memory shortage on clients.
    @Suite(PrivateBrokerTrait(), .serialized) struct DisturbanceTests {
        @Test(arguments: ConformanceBroker.disturbable)
        func `An alarm blocks publishers and nothing else`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish(["a", "b"], to: queue)
            let consumer = try await broker.consume(queue, prefetch: 1)
            let held = try await consumer.next()
            try await broker.setAlarm(true)
            func publish() async throws {
                let message = Message(body: [99])
                let deadline = ContinuousClock.now + .milliseconds(500)
                try await broker.transport.publish(message, to: .queue(queue), mandatory: true, deadline: deadline)
            }
            // RabbitMQ reports the alarm at the first publish only, which it may not confirm.
            if broker.product == .rabbitMQ {
                try await broker.eventually {
                    try? await publish()
                    return broker.transport.health.publishing.blockedReason != nil
                }
            }
            await expectRefusal(.blocked, saying: "memory") { try await publish() }
            #expect(broker.transport.health.publishing.isConnected)
            held.ack()
            #expect(try await consumer.take() == "b")
            try await broker.setAlarm(false)
            try await broker.publish("d", to: queue)
            // Messages that RabbitMQ accepted before it reported the alarm are delivered now.
            while try await consumer.take() != "d" {}
        }

        @Test(arguments: ConformanceBroker.disturbable)
        func `A publish that waits for the end of an alarm is sent then`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            try await broker.setAlarm(true)
            async let waiting: Void = broker.publish("b", to: queue)
            try await broker.setAlarm(false)
            try await waiting
            try await broker.expect(queue, holds: ["a", "b"])
        }

        @Test(arguments: ConformanceBroker.disturbable, QueueKind.common)
        func `A consumer goes on over a new connection, and its messages are redelivered`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish("a", to: queue)
            let consumer = try await broker.consume(queue)
            let held = try await consumer.next()
            #expect(!held.isLost)
            try await broker.closeConnections()
            let again = try await consumer.next()
            #expect(held.isLost)
            #expect(again.text == "a")
            #expect(again.isRedelivered)
            held.ack()
            again.ack()
            try await broker.publish("b", to: queue)
            #expect(try await consumer.take() == "b")
            try await broker.waitForReady(0, in: queue)
        }

        @Test(arguments: ConformanceBroker.disturbable)
        func `A message that was got singly is redelivered`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            let held = try await broker.get(queue)
            try await broker.closeConnections()
            let again = try await broker.get(queue)
            #expect(again.isRedelivered)
            #expect(held.isLost)
        }

        @Test(arguments: ConformanceBroker.disturbable)
        func `An exclusive queue exists again, empty, for its consumer`(_ broker: ConformanceBroker) async throws {
            let queue = broker.name("mine")
            try await broker.declare(QueueDeclaration(queue, isDurable: false, isExclusive: true))
            try await broker.publish("a", to: queue)
            let consumer = try await broker.consume(queue)
            _ = try await consumer.next()
            try await broker.closeConnections()
            try await broker.eventually {
                do {
                    try await broker.publish("b", to: queue)
                    return true
                } catch let error as AMQPError where error.code == .unroutable {
                    return false
                }
            }
            #expect(try await consumer.take() == "b")
        }
    }

    // RabbitMQ checks the consumer timeout once a minute, so these cases run on the embedded broker alone.
    @Suite struct ConsumerTimeoutTests {
        @Test(arguments: ConformanceBroker.embedded, QueueKind.common)
        func `A delivery that exceeds the consumer timeout ends its consumer`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            try await broker.publish("a", to: queue)
            let consumer = try await broker.consume(queue)
            let held = try await consumer.next()
            try await broker.pass(.seconds(1_860))
            guard broker.features.hasConsumerTimeout(of: kind) else {
                #expect(!held.isLost)
                return
            }
            let error = try await consumer.end()
            switch broker.features.consumerTimeoutResponse {
            case .closesChannel:
                #expect(error?.code == .channelClosed)
                #expect(error?.reply?.code == 406)
            case .cancelsConsumer:
                #expect(error?.code == .consumerCancelled)
            }
            #expect(held.isLost)
            #expect(try await broker.get(queue).isRedelivered)
        }

        @Test(arguments: ConformanceBroker.embedded)
        func `A delivery that is settled in time doesn't end its consumer`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.quorum)
            let consumer = try await broker.consume(queue)
            for text in ["a", "b", "c"] {
                try await broker.publish(text, to: queue)
                let held = try await consumer.next()
                try await broker.pass(.seconds(1_000))
                held.ack()
            }
            try await broker.publish("d", to: queue)
            #expect(try await consumer.take() == "d")
        }
    }
}
