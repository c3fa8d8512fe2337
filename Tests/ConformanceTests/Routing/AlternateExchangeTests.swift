import AMQP
import Testing

extension Conformance {
    @Suite struct AlternateExchangeTests {
        @Test(arguments: ConformanceBroker.all)
        func `A message that an exchange can't route goes to its alternate`(_ broker: ConformanceBroker) async throws {
            let rest = try await broker.exchange()
            let exchange = try await broker.exchange(.direct) { $0.alternateExchange = rest }
            let known = try await broker.queue()
            let unknown = try await broker.queue()
            try await broker.bind(known, to: exchange, "known")
            try await broker.bind(unknown, to: rest)
            #expect(try await broker.routes(exchange, "known"))
            #expect(try await broker.routes(exchange, "unknown"))
            try await broker.expect(known, holds: ["known"])
            try await broker.expect(unknown, holds: ["unknown"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message that the alternate can't route either is unroutable`(
            _ broker: ConformanceBroker
        ) async throws {
            let rest = try await broker.exchange()
            let exchange = try await broker.exchange(.direct) { $0.alternateExchange = rest }
            #expect(try await !broker.routes(exchange, "key"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `An alternate that doesn't exist is ignored`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.direct) { $0.alternateExchange = broker.name("nowhere") }
            #expect(try await !broker.routes(exchange, "key"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `An alternate may be declared later`(_ broker: ConformanceBroker) async throws {
            let rest = broker.name("rest")
            let exchange = try await broker.exchange(.direct) { $0.alternateExchange = rest }
            try await broker.declare(ExchangeDeclaration(rest, kind: .fanout))
            let queue = try await broker.queue()
            try await broker.bind(queue, to: rest)
            #expect(try await broker.routes(exchange, "key"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `An alternate can have an alternate`(_ broker: ConformanceBroker) async throws {
            let last = try await broker.exchange()
            let middle = try await broker.exchange(.direct) { $0.alternateExchange = last }
            let first = try await broker.exchange(.direct) { $0.alternateExchange = middle }
            let queue = try await broker.queue()
            try await broker.bind(queue, to: last)
            #expect(try await broker.routes(first, "key"))
            try await broker.expect(queue, holds: ["key"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A cycle of alternates doesn't route a message endlessly`(_ broker: ConformanceBroker) async throws {
            let names = (broker.name("one"), broker.name("two"))
            try await broker.declare(ExchangeDeclaration(names.0, kind: .direct, alternateExchange: names.1))
            try await broker.declare(ExchangeDeclaration(names.1, kind: .direct, alternateExchange: names.0))
            #expect(try await !broker.routes(names.0, "key"))
        }

        @Test(arguments: ConformanceBroker.all)
        func `An exchange in between uses its own alternate`(_ broker: ConformanceBroker) async throws {
            let rest = try await broker.exchange()
            let inner = try await broker.exchange(.direct) { $0.alternateExchange = rest }
            let outer = try await broker.exchange()
            let queue = try await broker.queue()
            let unknown = try await broker.queue()
            try await broker.bind(exchange: inner, to: outer)
            try await broker.bind(queue, to: outer)
            try await broker.bind(unknown, to: rest)
            #expect(try await broker.routes(outer, "key"))
            try await broker.expect(queue, holds: ["key"])
            try await broker.expect(unknown, holds: ["key"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A binding to an exchange without bindings still excludes the alternate`(
            _ broker: ConformanceBroker
        ) async throws {
            let rest = try await broker.exchange()
            let outer = try await broker.exchange(.direct) { $0.alternateExchange = rest }
            let inner = try await broker.exchange()
            let unknown = try await broker.queue()
            try await broker.bind(exchange: inner, to: outer, "key")
            try await broker.bind(unknown, to: rest)
            #expect(try await !broker.routes(outer, "key"))
            #expect(try await broker.routes(outer, "other"))
        }
    }

    /// The headers CC and BCC, with which a publisher adds routing keys.
    @Suite struct CarbonCopyTests {
        @Test(arguments: ConformanceBroker.all)
        func `CC adds routing keys and is passed on`(_ broker: ConformanceBroker) async throws {
            let queues = [try await broker.queue(), try await broker.queue()]
            try await broker.publish("a", to: queues[0]) { $0.headers = ["CC": .array([.string(queues[1])])] }
            for queue in queues {
                let message = try await broker.take(queue)
                #expect(message.header("CC") == .array([.string(queues[1])]))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `BCC adds routing keys and is removed`(_ broker: ConformanceBroker) async throws {
            let queues = [try await broker.queue(), try await broker.queue()]
            try await broker.publish("a", to: queues[0]) {
                $0.headers = ["BCC": .array([.string(queues[1])]), "other": 1]
            }
            for queue in queues {
                let message = try await broker.take(queue)
                #expect(message.header("BCC") == nil)
                #expect(message.header("other") == 1)
            }
        }
    }
}
