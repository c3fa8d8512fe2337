import AMQP
import Testing

extension Conformance {
    @Suite struct TopicExchangeTests {
        struct Pattern: Sendable, CustomTestStringConvertible {
            var text: String
            var matches: [String]
            var doesNot: [String]

            init(_ text: String, matches: [String], not doesNot: [String]) {
                self.text = text
                self.matches = matches
                self.doesNot = doesNot
            }

            var testDescription: String { "'\(text)'" }
        }

        // Words can be empty: '' has no words, '.' two empty ones, 'a.' a word and an empty one.
        static let patterns = [
            Pattern("a.b", matches: ["a.b"], not: ["a", "a.b.c", "b.a", "A.b", "a.b.", ".a.b", ""]),
            Pattern("*", matches: ["a", "ab", "#", "*"], not: ["", "a.b", "."]),
            Pattern("*.b", matches: ["a.b", ".b", "*.b"], not: ["b", "a.a.b", "a.b.b", "a.c"]),
            Pattern("a.*", matches: ["a.b", "a."], not: ["a", "a.b.c", "b.a"]),
            Pattern("*.*", matches: ["a.b", ".", "a."], not: ["", "a", "a.b.c", ".."]),
            Pattern("a.*.c", matches: ["a.b.c", "a..c"], not: ["a.c", "a.b.b.c"]),
            Pattern("#", matches: ["", "a", "a.b.c", ".", ".."], not: []),
            Pattern("#.b", matches: ["b", "a.b", "a.a.b", ".b", "b.b"], not: ["", "a", "b.a", "ab"]),
            Pattern("a.#", matches: ["a", "a.b", "a.b.c", "a.", "a.."], not: ["", "b", "ab", "b.a"]),
            Pattern("a.#.c", matches: ["a.c", "a.b.c", "a.b.b.c", "a.c.c", "a..c"], not: ["a", "c", "a.b", "b.a.c"]),
            Pattern("#.b.#", matches: ["b", "a.b", "b.c", "a.b.c", "a.a.b.c.c", "b.b"], not: ["", "a", "a.c"]),
            Pattern("#.#", matches: ["", "a", "a.b", "."], not: []),
            Pattern("*.#", matches: ["a", "a.b", "a.b.c", "."], not: [""]),
            Pattern("#.*", matches: ["a", "a.b", "a.b.c", "."], not: [""]),
            Pattern("#.*.#", matches: ["a", "a.b", "."], not: [""]),
            Pattern("*.#.*", matches: ["a.b", "a.b.c", "."], not: ["", "a"]),
            Pattern("#.a.#.a", matches: ["a.a", "b.a.b.a", "a.a.a"], not: ["a", "b.a.b", "a.b"]),
            Pattern("", matches: [""], not: ["a", "."]),
            Pattern("a..b", matches: ["a..b"], not: ["a.b", "a.x.b"]),
            Pattern(".", matches: ["."], not: ["", "a", "a.b"]),
            Pattern("a*", matches: ["a*"], not: ["a", "ab", "a.b"]),
            Pattern("a#.b", matches: ["a#.b"], not: ["a.b", "ab.b", "a.c.b"]),
            Pattern("größe.*", matches: ["größe.m"], not: ["grösse.m", "GRÖSSE.m"]),
        ]

        @Test(arguments: ConformanceBroker.all, patterns)
        func `A pattern consists of words, stars and hashes`(
            _ broker: ConformanceBroker,
            _ pattern: Pattern
        ) async throws {
            let exchange = try await broker.exchange(.topic)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, pattern.text)
            for key in pattern.matches { #expect(try await broker.routes(exchange, key), "takes '\(key)'") }
            for key in pattern.doesNot { #expect(try await !broker.routes(exchange, key), "doesn't take '\(key)'") }
            try await broker.expect(queue, holds: pattern.matches)
        }

        @Test(arguments: ConformanceBroker.all)
        func `A pattern with a third hash is refused by late versions`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.topic)
            let queue = try await broker.queue()
            if broker.features.maximumHashesInPattern == 2 {
                await expectRefusal(.refused, 406, saying: "wildcards", "#.a.#.a.#") {
                    try await broker.bind(queue, to: exchange, "#.a.#.a.#")
                }
            } else {
                try await broker.bind(queue, to: exchange, "#.a.#.a.#")
                #expect(try await broker.routes(exchange, "b.a.b.a.b"))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Several matching patterns deliver one message`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.topic)
            let queue = try await broker.queue()
            for pattern in ["#", "a.*", "*.b", "a.b", "a.#.b"] { try await broker.bind(queue, to: exchange, pattern) }
            #expect(try await broker.routes(exchange, "a.b"))
            try await broker.expect(queue, holds: ["a.b"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `Removing a pattern keeps those that share its words`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.topic)
            let queue = try await broker.queue()
            for pattern in ["a.#", "a.#.b", "a.*"] { try await broker.bind(queue, to: exchange, pattern) }
            let removed = Binding(from: exchange, to: .queue(queue), routingKey: "a.#")
            try await broker.transport.unbind(removed)
            for (key, isRouted) in [("a.c", true), ("a.c.b", true), ("a", false), ("a.c.d", false)] {
                #expect(try await broker.routes(exchange, key) == isRouted, "'\(key)'")
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Queues with different patterns get the messages that match`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.topic)
            let europe = try await broker.queue()
            let orders = try await broker.queue()
            try await broker.bind(europe, to: exchange, "eu.#")
            try await broker.bind(orders, to: exchange, "*.orders")
            for key in ["eu.orders", "eu.mails", "us.orders", "us.mails"] { _ = try await broker.routes(exchange, key) }
            try await broker.expect(europe, holds: ["eu.orders", "eu.mails"])
            try await broker.expect(orders, holds: ["eu.orders", "us.orders"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A pattern of 28 digits and a name picks one branch of the ladder`(
            _ broker: ConformanceBroker
        ) async throws {
            let exchange = try await broker.exchange(.topic)
            let waits = try await broker.queue()
            let passes = try await broker.queue()
            let stars = String(repeating: "*.", count: 20)
            try await broker.bind(waits, to: exchange, stars + "1.#")
            try await broker.bind(passes, to: exchange, stars + "0.#")
            let digits = String(repeating: "0.", count: 20)
            for (digit, queue) in [("1", waits), ("0", passes)] {
                let key = digits + digit + ".0.1.0.1.0.1.1.eu.orders"
                #expect(try await broker.routes(exchange, key))
                try await broker.expect(queue, holds: [key])
            }
        }
    }
}
