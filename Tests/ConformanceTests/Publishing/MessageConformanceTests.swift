import AMQP
import Testing

extension Conformance {
    /// A delivery equals the published message.
    @Suite struct MessageTests {
        struct Change: Sendable, CustomTestStringConvertible {
            var name: String
            var apply: @Sendable (inout BasicProperties) -> Void

            init(_ name: String, _ apply: @escaping @Sendable (inout BasicProperties) -> Void) {
                self.name = name
                self.apply = apply
            }

            var testDescription: String { name }
        }

        static let properties = [
            Change("none") { _ in },
            Change("content type") { $0.contentType = "application/json" },
            Change("content encoding") { $0.contentEncoding = "utf-8" },
            Change("empty headers") { $0.headers = [:] },
            Change("transient") { $0.deliveryMode = .transient },
            Change("persistent") { $0.deliveryMode = .persistent },
            Change("priority") { $0.priority = 7 },
            Change("correlation id") { $0.correlationID = "c-1" },
            Change("reply to") { $0.replyTo = "answers" },
            Change("expiration") { $0.expiration = "60000" },
            Change("message id") { $0.messageID = "m-1" },
            Change("timestamp") { $0.timestamp = 1_795_232_083 },
            Change("type") { $0.type = "letter" },
            Change("user id") { $0.userID = "guest" },
            Change("app id") { $0.appID = "tests" },
            Change("255 bytes") { $0.correlationID = String(repeating: "ö", count: 127) + "x" },
            Change("empty texts") {
                $0.contentType = ""
                $0.correlationID = ""
                $0.type = ""
            },
            Change("all") {
                $0.contentType = "text/plain"
                $0.contentEncoding = "gzip"
                $0.headers = ["a": 1]
                $0.deliveryMode = .persistent
                $0.priority = 0
                $0.correlationID = "c"
                $0.replyTo = "r"
                $0.expiration = "100000"
                $0.messageID = "m"
                $0.timestamp = 0
                $0.type = "t"
                $0.userID = "guest"
                $0.appID = "a"
            },
        ]

        @Test(arguments: ConformanceBroker.all, properties)
        func `A message keeps its properties`(_ broker: ConformanceBroker, _ change: Change) async throws {
            for kind in QueueKind.common {
                let queue = try await broker.queue(kind)
                var properties = BasicProperties()
                change.apply(&properties)
                // Not mandatory: a client adds an id to a mandatory message.
                try await broker.publish("a", to: queue, mandatory: false, change.apply)
                var found = try await broker.take(queue)
                // A quorum queue may add a header, and so a header table that was missing.
                if kind == .quorum && broker.features.countsFirstDelivery {
                    #expect(found.header("x-delivery-count") == .int64(0))
                    found.properties.headers?["x-delivery-count"] = nil
                    properties.headers = properties.headers ?? [:]
                }
                #expect(found.properties == properties)
            }
        }

        static let headers: [(String, FieldValue)] = [
            ("true", true), ("false", false), ("int8", .int8(-128)), ("uint8", .uint8(255)), ("int16", .int16(-3000)),
            ("uint16", .uint16(60_000)), ("int32", .int32(.min)), ("uint32", .uint32(.max)), ("int64", .int64(.min)),
            ("large int64", .int64(.max)), ("float", .float(1.5)), ("double", .double(-2.25)),
            ("decimal", .decimal(FieldDecimal(scale: 2, value: 1999))), ("text", "Grüße ☃"), ("empty text", ""),
            ("bytes", .bytes([0, 255, 1])), ("timestamp", .timestamp(1)), ("void", .void), ("array", [1, "two", [3]]),
            ("empty array", []), ("table", ["nested": ["deeper": [true]]]), ("empty table", [:]),
        ]

        @Test(arguments: ConformanceBroker.all, headers)
        func `A message keeps its headers`(
            _ broker: ConformanceBroker,
            _ header: (name: String, value: FieldValue)
        ) async throws {
            for kind in QueueKind.common {
                let queue = try await broker.queue(kind)
                try await broker.publish("a", to: queue) { $0.headers = ["header": header.value, "other": 1] }
                var found = try await broker.take(queue)
                found.properties.headers?["x-delivery-count"] = nil
                #expect(found.properties.headers == ["header": header.value, "other": 1])
            }
        }

        @Test(arguments: ConformanceBroker.all, [0, 1, 131_064, 131_065, 300_000, 2_000_000])
        func `A message keeps its body of any size`(_ broker: ConformanceBroker, _ size: Int) async throws {
            let queue = try await broker.queue()
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
            try await broker.transport.publish(
                Message(body: body),
                to: .queue(queue),
                mandatory: true,
                deadline: .now + .seconds(60)
            )
            let found = try await broker.take(queue)
            #expect(found.body == body)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A body of more than 16 MiB is refused before it is sent`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            await expectRefusal(.messageTooLarge) {
                try await broker.transport.publish(
                    Message(body: [UInt8](repeating: 0, count: Message.maximumBodySize + 1)),
                    to: .queue(queue),
                    mandatory: true,
                    deadline: .now + .seconds(60)
                )
            }
            #expect(try await broker.ready(queue) == 0)
        }

        @Test(arguments: ConformanceBroker.all, ["", "-1", "1.5", "soon", "315360000001"])
        func `An expiration that isn't a number of milliseconds is refused`(
            _ broker: ConformanceBroker,
            _ expiration: String
        ) async throws {
            let queue = try await broker.queue()
            await expectRefusal(.invalidArgument) {
                try await broker.publish("a", to: queue) { $0.expiration = expiration }
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A header that isn't a number is refused`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            await expectRefusal(.invalidArgument) {
                try await broker.publish("a", to: queue) { $0.headers = ["a": .double(.nan)] }
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Each queue has its own copy`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange()
            let queues = [try await broker.queue(), try await broker.queue()]
            for queue in queues { try await broker.bind(queue, to: exchange) }
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: ""))
            try await broker.get(queues[0]).nack(requeue: false)
            #expect(try await broker.take(queues[1]).text == "a")
        }
    }
}
