import AMQP
import Testing

extension Conformance {
    /// What an operator, or a lack of memory, does to programs.
    @Suite(OwnBrokerTrait(), .serialized) struct DisturbanceTests {
        @Test(arguments: Broker.disturbable)
        func `an alarm stops publishers and nobody else`(_ broker: Broker) async throws {
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
                    return if case .blocked = broker.transport.health.publishing { true } else { false }
                }
            }
            await expectRefusal(.blocked, saying: "memory") { try await publish() }
            #expect(broker.transport.health.publishing.isConnected)
            held.ack()
            #expect(try await consumer.take() == "b")
            try await broker.setAlarm(false)
            try await broker.publish("d", to: queue)
            // What RabbitMQ took before it told comes now.
            while try await consumer.take() != "d" {}
        }

        @Test(arguments: Broker.disturbable)
        func `a publish that waits for the end of an alarm goes out then`(_ broker: Broker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            try await broker.setAlarm(true)
            async let waiting: Void = broker.publish("b", to: queue)
            try await broker.setAlarm(false)
            try await waiting
            try await broker.expect(queue, holds: ["a", "b"])
        }

        @Test(arguments: Broker.disturbable, QueueKind.common)
        func `a consumer goes on over a new connection, and what it had comes again`(
            _ broker: Broker,
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

        @Test(arguments: Broker.disturbable)
        func `what was got singly comes again`(_ broker: Broker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: queue)
            let held = try await broker.get(queue)
            try await broker.closeConnections()
            let again = try await broker.get(queue)
            #expect(again.isRedelivered)
            #expect(held.isLost)
        }

        @Test(arguments: Broker.disturbable)
        func `an exclusive queue is there again, empty, for its consumer`(_ broker: Broker) async throws {
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

    // RabbitMQ looks for deliveries that were kept too long once a minute, so these are the embedded broker's alone.
    @Suite struct ConsumerTimeoutTests {
        @Test(arguments: Broker.embedded, QueueKind.common)
        func `a delivery that is kept too long ends its consumer`(_ broker: Broker, _ kind: QueueKind) async throws {
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

        @Test(arguments: Broker.embedded)
        func `a delivery that is settled in time ends nothing`(_ broker: Broker) async throws {
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
