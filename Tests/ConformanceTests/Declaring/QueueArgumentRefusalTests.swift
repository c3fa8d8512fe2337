import AMQP
import Testing

extension Conformance {
    /// Arguments that the broker refuses, sent untyped because the client validates only typed ones.
    @Suite struct QueueArgumentRefusalTests {
        struct Refused: Sendable, CustomTestStringConvertible {
            var type: String
            var argument: String
            var value: FieldValue
            /// The rest of the declaration, so that only the one argument is wrong.
            var others: FieldTable = [:]

            init(_ type: String, _ argument: String, _ value: FieldValue, with others: FieldTable = [:]) {
                self.type = type
                self.argument = argument
                self.value = value
                self.others = others
            }

            var testDescription: String { "\(type) \(argument) \(value)" }
        }

        static let refused = [
            Refused("classic", "x-message-ttl", -1),
            Refused("classic", "x-message-ttl", 315_360_000_001),
            Refused("classic", "x-message-ttl", "1000"),
            Refused("classic", "x-message-ttl", .double(1000)),
            Refused("classic", "x-expires", 0),
            Refused("classic", "x-expires", "soon"),
            Refused("classic", "x-max-length", -1),
            Refused("classic", "x-max-length", "many"),
            Refused("classic", "x-max-length-bytes", -1),
            Refused("classic", "x-overflow", "spill"),
            Refused("classic", "x-overflow", 1),
            Refused("classic", "x-dead-letter-exchange", 1),
            Refused("classic", "x-dead-letter-routing-key", "key"),
            Refused("classic", "x-dead-letter-routing-key", 1, with: ["x-dead-letter-exchange": "dead"]),
            Refused("classic", "x-dead-letter-strategy", "at-most-once", with: ["x-dead-letter-exchange": "dead"]),
            Refused("classic", "x-max-priority", 256),
            Refused("classic", "x-max-priority", -1),
            Refused("classic", "x-max-priority", "high"),
            Refused("classic", "x-single-active-consumer", "yes"),
            Refused("classic", "x-delivery-limit", 5),
            Refused("classic", "x-max-age", "1s"),
            Refused("classic", "x-quorum-initial-group-size", 3),
            Refused("quorum", "x-message-ttl", -1),
            Refused("quorum", "x-expires", 0),
            Refused("quorum", "x-max-length", -1),
            Refused("quorum", "x-max-priority", 5),
            Refused("quorum", "x-max-age", "1s"),
            Refused("quorum", "x-dead-letter-strategy", "sometimes", with: ["x-dead-letter-exchange": "dead"]),
            Refused("quorum", "x-dead-letter-routing-key", "key"),
            Refused("quorum", "x-quorum-initial-group-size", 0),
            Refused("stream", "x-message-ttl", 1000),
            Refused("stream", "x-max-length", 10),
            Refused("stream", "x-dead-letter-exchange", "dead"),
            Refused("stream", "x-single-active-consumer", true),
            Refused("stream", "x-max-age", "0s"),
            Refused("stream", "x-stream-max-segment-size-bytes", 3_000_000_001),
            Refused("classic", "x-queue-type", "spiral"),
            Refused("classic", "x-queue-type", 1),
        ]

        @Test(arguments: ConformanceBroker.all, refused)
        func `An argument that the queue's type doesn't allow is refused`(
            _ broker: ConformanceBroker,
            _ refused: Refused
        ) async throws {
            var queue = QueueDeclaration(broker.name("queue"))
            queue.arguments.other = refused.others
            queue.arguments.other["x-queue-type"] = .string(refused.type)
            queue.arguments.other[refused.argument] = refused.value
            await expectRefusal(.refused, 406, saying: refused.argument) { try await broker.declare(queue) }
            #expect(try await !broker.exists(queue.name))
        }

        // Before 4.0 it is accepted too, without a meaning.
        @Test(arguments: ConformanceBroker.all)
        func `Since 4.0 a negative delivery limit means no limit`(_ broker: ConformanceBroker) async throws {
            var queue = QueueDeclaration(broker.name("queue"))
            queue.arguments.other = ["x-queue-type": "quorum", "x-delivery-limit": -1]
            try await broker.declare(queue)
            guard broker.features.unlimitedDeliveryLimit == -1 else { return }
            try await broker.publish("a", to: queue.name)
            let consumer = try await broker.consume(queue.name, prefetch: 1)
            for _ in 0..<25 { try await consumer.next().reject(requeue: true) }
            #expect(try await consumer.next().text == "a")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A consumer timeout is ignored, obeyed or refused, depending on version and type`(
            _ broker: ConformanceBroker
        ) async throws {
            for kind in QueueKind.common {
                let queue = QueueDeclaration(
                    broker.name("queue"),
                    arguments: QueueArguments(kind) { $0.consumerTimeout = .seconds(3600) }
                )
                if broker.features.consumerTimeoutArgument(of: kind) == .refused {
                    await expectRefusal(.refused, 406, saying: "x-consumer-timeout") { try await broker.declare(queue) }
                } else {
                    try await broker.declare(queue)
                }
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `The smallest and largest limits are accepted`(_ broker: ConformanceBroker) async throws {
            _ = try await broker.queue(.classic) {
                $0.messageTTL = .seconds(315_360_000)
                $0.expires = .seconds(315_360_000)
                $0.maxLength = 0
                $0.maxLengthBytes = 0
                $0.maxPriority = 255
                $0.overflow = .rejectPublishDLX
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = ""
            }
            _ = try await broker.queue(.quorum) {
                $0.messageTTL = .zero
                $0.expires = .seconds(3600)
                $0.maxLength = 0
                $0.maxLengthBytes = 1
                $0.overflow = .rejectPublish
                $0.deadLetterExchange = ""
                $0.deadLetterStrategy = .atLeastOnce
                $0.deliveryLimit = 0
                $0.singleActiveConsumer = true
                $0.quorumInitialGroupSize = 1
            }
        }
    }
}
