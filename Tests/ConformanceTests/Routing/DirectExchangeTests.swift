import AMQP
import Testing

extension Conformance {
    /// The default exchange and direct exchanges.
    @Suite struct DirectExchangeTests {
        @Test(arguments: ConformanceBroker.all)
        func `The default exchange routes to each queue by its name`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            try await broker.publish("a", to: Destination(exchange: "", routingKey: queue))
            let delivery = try await broker.get(queue)
            #expect(delivery.text == "a")
            #expect(delivery.destination == .queue(queue))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Nothing can be bound to the default exchange`(_ broker: ConformanceBroker) async throws {
            let queue = try await broker.queue()
            await expectRefusal(.invalidArgument) { try await broker.bind(queue, to: "", "key") }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A direct exchange compares whole keys, case-sensitively`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "a.b")
            for (key, isRouted) in [("a.b", true), ("a", false), ("a.b.c", false), ("A.b", false), ("", false)] {
                #expect(try await broker.routes(exchange, key) == isRouted, "key '\(key)'")
            }
            try await broker.expect(queue, holds: ["a.b"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A direct exchange has no wildcards`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "*.#")
            #expect(try await !broker.routes(exchange, "a.b"))
            #expect(try await broker.routes(exchange, "*.#"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `Queues bound by the same key get a copy each`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct)
            let queues = [try await broker.queue(), try await broker.queue(.quorum)]
            for queue in queues { try await broker.bind(queue, to: exchange, "key") }
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: "key"))
            for queue in queues { #expect(try await broker.take(queue).text == "a") }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A queue bound by several keys gets messages with any of them`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            for key in ["one", "two"] { try await broker.bind(queue, to: exchange, key) }
            for key in ["one", "two", "three"] { _ = try await broker.routes(exchange, key) }
            try await broker.expect(queue, holds: ["one", "two"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `An empty key is a key`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "")
            #expect(try await broker.routes(exchange, ""))
            #expect(try await !broker.routes(exchange, "a"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `A fanout exchange ignores the key`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.fanout)
            let queues = [try await broker.queue(), try await broker.queue()]
            try await broker.bind(queues[0], to: exchange, "one")
            try await broker.bind(queues[1], to: exchange, "two")
            for key in ["", "one", "three.four"] { #expect(try await broker.routes(exchange, key)) }
            for queue in queues { #expect(try await broker.drain(queue) == ["", "one", "three.four"]) }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A delivery has the exchange and key of its publish`(_ broker: ConformanceBroker) async throws {
            let outer = try await broker.exchange(.topic)
            let inner = try await broker.exchange(.fanout)
            let queue = try await broker.queue()
            try await broker.bind(exchange: inner, to: outer, "letters.#")
            try await broker.bind(queue, to: inner)
            let destination = Destination(exchange: outer, routingKey: "letters.from.ada")
            try await broker.publish("a", to: destination)
            #expect(try await broker.get(queue).destination == destination)
        }
    }
}
