import AMQP
import Testing

extension Conformance {
    @Suite struct BindingTests {
        @Test(arguments: ConformanceBroker.all)
        func `A binding made twice counts once`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "key")
            try await broker.bind(queue, to: exchange, "key")
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: "key"))
            try await broker.expect(queue, holds: ["a"])
            try await broker.transport.unbind(Binding(from: exchange, to: .queue(queue), routingKey: "key"))
            #expect(try await !broker.routes(exchange, "key"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Bindings that differ in their arguments are separate, but deliver one message`(
            _ broker: ConformanceBroker
        ) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "key", ["one": 1])
            try await broker.bind(queue, to: exchange, "key", ["two": 2])
            #expect(try await broker.routes(exchange, "key"))
            try await broker.expect(queue, holds: ["key"])
            let one = Binding(from: exchange, to: .queue(queue), routingKey: "key", arguments: ["one": 1])
            try await broker.transport.unbind(one)
            #expect(try await broker.routes(exchange, "key"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Removing a binding that doesn't exist is not an error`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "one")
            try await broker.transport.unbind(Binding(from: exchange, to: .queue(queue), routingKey: "two"))
            let withArguments = Binding(from: exchange, to: .queue(queue), routingKey: "one", arguments: ["a": 1])
            try await broker.transport.unbind(withArguments)
            #expect(try await broker.routes(exchange, "one"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Removing a binding of a missing queue or exchange is not an error`(
            _ broker: ConformanceBroker
        ) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            let nowhere = broker.name("nowhere")
            try await broker.transport.unbind(Binding(from: exchange, to: .queue(nowhere), routingKey: ""))
            try await broker.transport.unbind(Binding(from: nowhere, to: .queue(queue), routingKey: ""))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Binding a queue that does not exist is an error that names it`(_ broker: ConformanceBroker) async throws {
            let nowhere = broker.name("nowhere")
            await expectRefusal(.notFound, 404, saying: "no queue '\(nowhere)'") {
                try await broker.bind(nowhere, to: "amq.direct", "key")
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Binding to an exchange that does not exist is an error that names it`(
            _ broker: ConformanceBroker
        ) async throws {
            let nowhere = broker.name("nowhere")
            let queue = try await broker.queue()
            await expectRefusal(.notFound, 404, saying: "no exchange '\(nowhere)'") {
                try await broker.bind(queue, to: nowhere, "key")
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Binding an exchange that does not exist is an error that names it`(
            _ broker: ConformanceBroker
        ) async throws {
            let nowhere = broker.name("nowhere")
            await expectRefusal(.notFound, 404, saying: "no exchange '\(nowhere)'") {
                try await broker.bind(exchange: nowhere, to: "amq.direct", "key")
            }
        }
    }

    @Suite struct ExchangeToExchangeTests {
        @Test(arguments: ConformanceBroker.all)
        func `Messages go from exchange to exchange, by the rules of each`(_ broker: ConformanceBroker) async throws {
            let topic = try await broker.exchange(.topic)
            let direct = try await broker.exchange(.direct)
            let fanout = try await broker.exchange(.fanout)
            let queue = try await broker.queue()
            try await broker.bind(exchange: direct, to: topic, "a.*")
            try await broker.bind(exchange: fanout, to: direct, "a.b")
            try await broker.bind(queue, to: fanout)
            #expect(try await broker.routes(topic, "a.b"))
            #expect(try await !broker.routes(topic, "a.c"))
            #expect(try await !broker.routes(topic, "b.b"))
            try await broker.expect(queue, holds: ["a.b"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A queue reached on several ways gets one message`(_ broker: ConformanceBroker) async throws {
            let source = try await broker.exchange()
            let queue = try await broker.queue()
            for _ in 0..<3 {
                let middle = try await broker.exchange()
                try await broker.bind(exchange: middle, to: source)
                try await broker.bind(queue, to: middle)
            }
            try await broker.bind(queue, to: source)
            #expect(try await broker.routes(source))
            #expect(try await broker.drain(queue).count == 1)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A cycle of exchanges doesn't route a message endlessly`(_ broker: ConformanceBroker) async throws {
            let one = try await broker.exchange()
            let two = try await broker.exchange()
            let queue = try await broker.queue()
            try await broker.bind(exchange: two, to: one)
            try await broker.bind(exchange: one, to: two)
            try await broker.bind(exchange: one, to: one)
            #expect(try await !broker.routes(one))
            try await broker.bind(queue, to: two)
            #expect(try await broker.routes(one))
            #expect(try await broker.drain(queue).count == 1)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A binding between exchanges can be removed`(_ broker: ConformanceBroker) async throws {
            let source = try await broker.exchange()
            let target = try await broker.exchange()
            let queue = try await broker.queue()
            try await broker.bind(queue, to: target)
            let binding = Binding(from: source, to: .exchange(target), routingKey: "")
            try await broker.transport.bind(binding)
            #expect(try await broker.routes(source))
            try await broker.transport.unbind(binding)
            #expect(try await !broker.routes(source))
        }

        @Test(arguments: ConformanceBroker.all)
        func `A deleted exchange no longer routes messages`(_ broker: ConformanceBroker) async throws {
            let source = try await broker.exchange()
            let target = try await broker.exchange()
            let queue = try await broker.queue()
            try await broker.bind(queue, to: target)
            try await broker.bind(exchange: target, to: source)
            try await broker.transport.deleteExchange(target)
            #expect(try await !broker.routes(source))
        }

        @Test(arguments: ConformanceBroker.all)
        func `A queue and an exchange of the same name are separate targets`(_ broker: ConformanceBroker) async throws {
            let source = try await broker.exchange(.direct)
            let name = try await broker.exchange()
            try await broker.declare(QueueDeclaration(name))
            try await broker.bind(name, to: source, "queue")
            try await broker.bind(exchange: name, to: source, "exchange")
            #expect(try await broker.routes(source, "queue"))
            #expect(try await !broker.routes(source, "exchange"))
        }
    }
}
