import AMQP
import Testing

extension Conformance {
    /// A declaration that differs from the existing queue: 406, with the difference.
    @Suite struct QueueMismatchTests {
        struct Difference: Sendable, CustomTestStringConvertible {
            var kind: QueueKind
            var argument: String
            var declared: FieldValue?
            var again: FieldValue?
            /// The two values in the broker's text.
            var received: String
            var current: String

            init(
                _ kind: QueueKind,
                _ argument: String,
                _ declared: FieldValue?,
                _ again: FieldValue?,
                received: String,
                current: String
            ) {
                self.kind = kind
                self.argument = argument
                self.declared = declared
                self.again = again
                self.received = received
                self.current = current
            }

            var testDescription: String { "\(kind.rawValue) \(argument), received \(received), current \(current)" }

            func declaration(_ name: String, _ value: FieldValue?) -> QueueDeclaration {
                var arguments = QueueArguments()
                arguments.other = ["x-queue-type": .string(kind.rawValue)]
                // A strategy or key without its exchange is refused for another reason.
                if argument.hasPrefix("x-dead-letter-") { arguments.other["x-dead-letter-exchange"] = "dead" }
                arguments.other[argument] = value
                return QueueDeclaration(name, arguments: arguments)
            }
        }

        static let differences = [
            Difference(.classic, "x-message-ttl", 1000, 2000, received: "'2000'", current: "'1000'"),
            Difference(
                .classic,
                "x-message-ttl",
                nil,
                2000,
                received: "the value '2000' of type 'signedint'",
                current: "none"
            ),
            Difference(
                .classic,
                "x-message-ttl",
                1000,
                nil,
                received: "none",
                current: "the value '1000' of type 'signedint'"
            ),
            Difference(.classic, "x-expires", 60_000, 70_000, received: "'70000'", current: "'60000'"),
            Difference(.classic, "x-max-length", 5, 6, received: "'6'", current: "'5'"),
            Difference(.classic, "x-max-length-bytes", 5, 6, received: "'6'", current: "'5'"),
            Difference(
                .classic,
                "x-overflow",
                "drop-head",
                "reject-publish",
                received: "'reject-publish'",
                current: "'drop-head'"
            ),
            Difference(.classic, "x-dead-letter-exchange", "one", "two", received: "'two'", current: "'one'"),
            Difference(.classic, "x-dead-letter-routing-key", "one", "two", received: "'two'", current: "'one'"),
            Difference(
                .classic,
                "x-dead-letter-routing-key",
                nil,
                "two",
                received: "the value 'two' of type 'longstr'",
                current: "none"
            ),
            Difference(.classic, "x-max-priority", 5, 6, received: "'6'", current: "'5'"),
            Difference(
                .classic,
                "x-max-priority",
                nil,
                6,
                received: "the value '6' of type 'signedint'",
                current: "none"
            ),
            Difference(.classic, "x-single-active-consumer", true, false, received: "'false'", current: "'true'"),
            Difference(
                .classic,
                "x-single-active-consumer",
                nil,
                true,
                received: "the value 'true' of type 'bool'",
                current: "none"
            ),
            Difference(.quorum, "x-message-ttl", 1000, 2000, received: "'2000'", current: "'1000'"),
            Difference(.quorum, "x-delivery-limit", 5, 6, received: "'6'", current: "'5'"),
            Difference(
                .quorum,
                "x-delivery-limit",
                nil,
                6,
                received: "the value '6' of type 'signedint'",
                current: "none"
            ),
            Difference(.quorum, "x-max-length", 5, nil, received: "none", current: "the value '5' of type 'signedint'"),
            Difference(
                .quorum,
                "x-dead-letter-strategy",
                "at-most-once",
                nil,
                received: "none",
                current: "the value 'at-most-once' of type 'longstr'"
            ),
            Difference(.quorum, "x-queue-type", "quorum", "classic", received: "'classic'", current: "'quorum'"),
        ]

        @Test(arguments: ConformanceBroker.all, differences)
        func `A queue that exists with another argument is refused`(
            _ broker: ConformanceBroker,
            _ difference: Difference
        ) async throws {
            let name = broker.name("queue")
            try await broker.declare(difference.declaration(name, difference.declared))
            await expectRefusal(
                .declarationMismatch,
                406,
                saying: "inequivalent arg '\(difference.argument)' for queue '\(name)'",
                "received \(difference.received)",
                "current is \(difference.current)"
            ) {
                try await broker.declare(difference.declaration(name, difference.again))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A durable queue can't be declared transient`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            await expectRefusal(
                .declarationMismatch,
                406,
                saying: "inequivalent arg 'durable' for queue '\(queue)'",
                "received 'false' but current is 'true'"
            ) {
                try await broker.declare(QueueDeclaration(queue, isDurable: false))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A permanent queue can't be declared auto-delete`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            await expectRefusal(
                .declarationMismatch,
                406,
                saying: "inequivalent arg 'auto_delete' for queue '\(queue)'",
                "received 'true' but current is 'false'"
            ) {
                try await broker.declare(QueueDeclaration(queue, isAutoDelete: true))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A shared queue can't be declared exclusive`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            await expectRefusal(.resourceLocked, 405, saying: queue) {
                try await broker.declare(QueueDeclaration(queue, isExclusive: true))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `The broker reports one of two differences`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(.classic) { $0.maxLength = 5 }
            await expectRefusal(.declarationMismatch, 406, saying: "inequivalent arg 'durable'") {
                let other = QueueArguments(.classic) { $0.maxLength = 6 }
                try await broker.declare(QueueDeclaration(queue, isDurable: false, arguments: other))
            }
        }
    }
}
