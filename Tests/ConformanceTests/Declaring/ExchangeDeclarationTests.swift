import AMQP
import Testing

// RabbitMQ 3.10 closes the whole connection (503) on an exchange of an unknown kind, so no case declares one.
extension Conformance {
    @Suite struct ExchangeDeclarationTests {
        @Test(arguments: ConformanceBroker.all, ["direct", "fanout", "topic", "headers"])
        func `An equal exchange can be declared twice`(_ broker: ConformanceBroker, _ kind: String) async throws {
            let exchange = try await broker.exchange(ExchangeKind(rawValue: kind))
            try await broker.declare(ExchangeDeclaration(exchange, kind: ExchangeKind(rawValue: kind)))
            #expect(try await broker.transport.exchangeExists(exchange))
        }

        @Test(arguments: ConformanceBroker.all)
        func `An exchange that was not declared does not exist`(_ broker: ConformanceBroker) async throws {
            #expect(try await !broker.transport.exchangeExists(broker.name("nowhere")))
        }

        @Test(arguments: ConformanceBroker.all)
        func `The broker has predeclared exchanges`(_ broker: ConformanceBroker) async throws {
            for name in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"] {
                #expect(try await broker.transport.exchangeExists(name), "\(name)")
            }
            try await broker.transport.declare(ExchangeDeclaration("amq.topic", kind: .topic))
        }

        @Test(arguments: ConformanceBroker.all)
        func `A name with the broker's own prefix is refused`(_ broker: ConformanceBroker) async throws {
            await expectRefusal(.accessRefused, 403, saying: "amq.mine", "reserved prefix") {
                try await broker.declare(ExchangeDeclaration("amq.mine", kind: .direct))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `An exchange without a name is refused before it is sent`(_ broker: ConformanceBroker) async throws {
            await expectRefusal(.invalidArgument) { try await broker.declare(ExchangeDeclaration("", kind: .direct)) }
        }

        struct Difference: Sendable, CustomTestStringConvertible {
            var argument: String
            var received: String
            var current: String
            var change: @Sendable (inout ExchangeDeclaration) -> Void

            var testDescription: String { argument }
        }

        static let differences = [
            Difference(argument: "type", received: "'topic'", current: "'direct'") { $0.kind = .topic },
            Difference(argument: "durable", received: "'false'", current: "'true'") { $0.isDurable = false },
            Difference(argument: "auto_delete", received: "'true'", current: "'false'") { $0.isAutoDelete = true },
            Difference(argument: "internal", received: "'true'", current: "'false'") { $0.isInternal = true },
            Difference(argument: "alternate-exchange", received: "the value 'other' of type 'longstr'", current: "none")
            {
                $0.alternateExchange = "other"
            },
        ]

        @Test(arguments: ConformanceBroker.all, differences)
        func `A different exchange of the same name is refused`(
            _ broker: ConformanceBroker,
            _ difference: Difference
        ) async throws {
            let exchange = try await broker.exchange(.direct)
            var other = ExchangeDeclaration(exchange, kind: .direct)
            difference.change(&other)
            await expectRefusal(
                .declarationMismatch,
                406,
                saying: "inequivalent arg '\(difference.argument)' for exchange '\(exchange)'",
                "received \(difference.received)",
                "current is \(difference.current)"
            ) {
                try await broker.declare(other)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `An auto-delete exchange is deleted with its last binding`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct) { $0.isAutoDelete = true }
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "one")
            try await broker.bind(queue, to: exchange, "two")
            try await broker.transport.unbind(Binding(from: exchange, to: .queue(queue), routingKey: "one"))
            #expect(try await broker.transport.exchangeExists(exchange))
            try await broker.transport.unbind(Binding(from: exchange, to: .queue(queue), routingKey: "two"))
            #expect(try await !broker.transport.exchangeExists(exchange))
        }

        @Test(arguments: ConformanceBroker.all)
        func `An auto-delete exchange is deleted with the last queue bound to it`(
            _ broker: ConformanceBroker
        ) async throws {
            let exchange = try await broker.exchange(.fanout) { $0.isAutoDelete = true }
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange)
            try await broker.transport.deleteQueue(queue)
            #expect(try await !broker.transport.exchangeExists(exchange))
        }

        @Test(arguments: ConformanceBroker.all)
        func `An auto-delete exchange is deleted with the last exchange bound to it`(
            _ broker: ConformanceBroker
        ) async throws {
            let source = try await broker.exchange(.fanout) { $0.isAutoDelete = true }
            let target = try await broker.exchange()
            try await broker.bind(exchange: target, to: source)
            try await broker.transport.deleteExchange(target)
            #expect(try await !broker.transport.exchangeExists(source))
        }

        @Test(arguments: ConformanceBroker.all)
        func `An internal exchange refuses publishes, and routes messages from another exchange`(
            _ broker: ConformanceBroker
        ) async throws {
            let inner = try await broker.exchange { $0.isInternal = true }
            let outer = try await broker.exchange()
            let queue = try await broker.queue()
            try await broker.bind(queue, to: inner)
            try await broker.bind(exchange: inner, to: outer)
            await expectRefusal(.accessRefused, 403, saying: inner, "internal") {
                try await broker.publish("a", to: Destination(exchange: inner, routingKey: ""))
            }
            try await broker.publish("b", to: Destination(exchange: outer, routingKey: ""))
            try await broker.expect(queue, holds: ["b"])
        }
    }
}
