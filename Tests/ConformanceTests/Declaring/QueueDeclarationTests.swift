import AMQP
import Testing

extension Conformance {
    @Suite struct QueueDeclarationTests {
        @Test(arguments: ConformanceBroker.all)
        func `A new queue is empty and has no consumers`(_ broker: ConformanceBroker) async throws {
            let name = broker.name("queue")
            try await broker.declare(QueueDeclaration(name))
            let status = try await broker.transport.status(ofQueue: name)
            #expect(status == QueueStatus(name: name, messageCount: 0, consumerCount: 0))
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Declaring an equal queue again returns its messages and consumers`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind)
            let consumer = try await broker.consume(queue, prefetch: 1)
            try await broker.publish(["a", "b", "c"], to: queue)
            _ = try await consumer.next()
            try await broker.waitForReady(2, in: queue)
            let again = QueueDeclaration(queue, arguments: QueueArguments(kind))
            try await broker.eventually { try await broker.transport.declare(again).messageCount == 2 }
            #expect(try await broker.transport.declare(again).consumerCount == 1)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A queue without a name gets a generated one`(_ broker: ConformanceBroker) async throws {
            let one = try await broker.declare(QueueDeclaration("", isDurable: false, isExclusive: true))
            let other = try await broker.declare(QueueDeclaration("", isDurable: false, isExclusive: true))
            #expect(one.hasPrefix("amq.gen-"))
            #expect(one != other)
            try await broker.publish("a", to: one)
            #expect(try await broker.ready(one) == 1)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A name with the broker's own prefix is refused`(_ broker: ConformanceBroker) async throws {
            await expectRefusal(.accessRefused, 403, saying: "amq.mine", "reserved prefix") {
                try await broker.declare(QueueDeclaration("amq.mine"))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A name can be 255 bytes of any text`(_ broker: ConformanceBroker) async throws {
            let name = broker.name("größe ☃ ' #*")
            let long = name + String(repeating: "x", count: 255 - name.utf8.count)
            try await broker.declare(QueueDeclaration(long))
            try await broker.publish("a", to: long)
            #expect(try await broker.take(long).text == "a")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A name of 256 bytes is refused before it is sent`(_ broker: ConformanceBroker) async throws {
            await expectRefusal(.invalidArgument) {
                try await broker.declare(QueueDeclaration(String(repeating: "x", count: 256)))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `The status of a queue that does not exist is not found`(_ broker: ConformanceBroker) async throws {
            let name = broker.name("nowhere")
            await expectRefusal(.notFound, 404, saying: name, "no queue") {
                _ = try await broker.transport.status(ofQueue: name)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A status counts ready messages and not unsettled ones`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish(["a", "b", "c"], to: queue)
            _ = try await broker.get(queue)
            #expect(try await broker.ready(queue) == 2)
        }

        @Test(arguments: ConformanceBroker.all)
        func `An unknown argument is accepted, and isn't compared`(_ broker: ConformanceBroker) async throws {
            let queue = broker.name("queue")
            var declaration = QueueDeclaration(queue)
            declaration.arguments.other = ["x-unheard-of": 1]
            try await broker.declare(declaration)
            declaration.arguments.other = ["x-unheard-of": 2]
            try await broker.declare(declaration)
            try await broker.declare(QueueDeclaration(queue))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Integers of different widths are equivalent`(_ broker: ConformanceBroker) async throws {
            let queue = broker.name("queue")
            var declaration = QueueDeclaration(queue)
            for value in [FieldValue.int64(5000), .int32(5000), .int16(5000), .uint16(5000)] {
                declaration.arguments.other = ["x-message-ttl": value]
                try await broker.declare(declaration)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A queue without a type is a classic queue`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue(QueueArguments())
            try await broker.declare(QueueDeclaration(queue, arguments: QueueArguments(.classic)))
            await expectRefusal(.declarationMismatch, 406, saying: "x-queue-type", queue) {
                try await broker.declare(QueueDeclaration(queue, arguments: QueueArguments(.quorum)))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A dead-letter exchange needn't exist`(_ broker: ConformanceBroker) async throws {
            _ = try await broker.queue(.classic) { $0.deadLetterExchange = broker.name("nowhere") }
        }

        @Test(arguments: ConformanceBroker.all, ["quorum", "stream"])
        func `A replicated queue must be durable, shared and permanent`(
            _ broker: ConformanceBroker,
            _ type: String
        ) async throws {
            let kind = QueueKind(rawValue: type)
            for declaration in [
                QueueDeclaration("replicated", isDurable: false, arguments: QueueArguments(kind)),
                QueueDeclaration("replicated", isExclusive: true, arguments: QueueArguments(kind)),
                QueueDeclaration("replicated", isAutoDelete: true, arguments: QueueArguments(kind)),
                QueueDeclaration("", arguments: QueueArguments(kind)),
            ] {
                await expectRefusal(.invalidArgument) { try await broker.declare(declaration) }
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A refused declaration leaves nothing behind and does no harm`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            let refused = broker.name("refused")
            var declaration = QueueDeclaration(refused)
            declaration.arguments.other = ["x-message-ttl": -1]
            await expectRefusal(.refused, 406, saying: "x-message-ttl", refused) {
                try await broker.declare(declaration)
            }
            #expect(try await !broker.exists(refused))
            #expect(try await broker.exists(queue))
        }
    }
}

extension QueueKind {
    /// The kinds that most of Warren's queues have.
    static let common = [QueueKind.classic, .quorum]
}
