import AMQP
import Testing

extension Conformance {
    @Suite struct HeadersExchangeTests {
        struct Match: Sendable, CustomTestStringConvertible {
            var name: String
            var binding: FieldTable
            var takes: [FieldTable?]
            var doesNot: [FieldTable?]

            init(_ name: String, _ binding: FieldTable, takes: [FieldTable?], not doesNot: [FieldTable?]) {
                self.name = name
                self.binding = binding
                self.takes = takes
                self.doesNot = doesNot
            }

            var testDescription: String { name }
        }

        static let matches = [
            Match(
                "all of them",
                ["x-match": "all", "a": 1, "b": "two"],
                takes: [["a": 1, "b": "two"], ["a": 1, "b": "two", "c": 3]],
                not: [["a": 1], ["a": 1, "b": "three"], [:], nil]
            ),
            Match(
                "all, where the binding doesn't say",
                ["a": 1, "b": "two"],
                takes: [["a": 1, "b": "two"]],
                not: [["a": 1], ["b": "two"], nil]
            ),
            Match(
                "any of them",
                ["x-match": "any", "a": 1, "b": "two"],
                takes: [["a": 1], ["b": "two"], ["a": 1, "b": "three"], ["a": 2, "b": "two"]],
                not: [["a": 2], ["c": 1], [:], nil]
            ),
            Match("all of none is everything", ["x-match": "all"], takes: [["a": 1], [:], nil], not: []),
            Match("any of none is nothing", ["x-match": "any"], takes: [], not: [["a": 1], [:], nil]),
            Match("no arguments are everything", [:], takes: [["a": 1], nil], not: []),
            Match(
                "a header without a value is there with any",
                ["x-match": "all", "a": .void],
                takes: [["a": 1], ["a": "text"], ["a": .void]],
                not: [["b": 1], nil]
            ),
            // RabbitMQ compares the values as Erlang does, whatever their types. (For 3.10.8 1.0 equals 1; for later
            // versions it doesn't.)
            Match(
                "numbers of other widths are the same",
                ["x-match": "all", "a": .int32(1)],
                takes: [["a": .int32(1)], ["a": .int64(1)], ["a": .int16(1)]],
                not: [["a": .int32(2)], ["a": .double(1.5)], ["a": "1"], ["a": true]]
            ),
            Match(
                "texts differ by case",
                ["x-match": "all", "a": "Ada"],
                takes: [["a": "Ada"]],
                not: [["a": "ada"], ["A": "Ada"]]
            ),
            Match("truth is a value", ["x-match": "all", "a": true], takes: [["a": true]], not: [["a": false]]),
            Match(
                "tables and arrays are values",
                ["x-match": "all", "a": [1, 2], "b": ["c": 3]],
                takes: [["a": [1, 2], "b": ["c": 3]]],
                not: [["a": [2, 1], "b": ["c": 3]], ["a": [1, 2], "b": ["c": 4]]]
            ),
            Match(
                "what begins with x- is not looked at",
                ["x-match": "all", "a": 1, "x-b": 2],
                takes: [["a": 1], ["a": 1, "x-b": 3]],
                not: [["x-b": 2]]
            ),
        ]

        @Test(arguments: ConformanceBroker.all, matches)
        func `Headers match a binding's arguments`(_ broker: ConformanceBroker, _ match: Match) async throws {
            let exchange = try await broker.exchange(.headers)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "", match.binding)
            for headers in match.takes {
                #expect(try await broker.routes(exchange) { $0.headers = headers }, "\(String(describing: headers))")
            }
            for headers in match.doesNot {
                #expect(try await !broker.routes(exchange) { $0.headers = headers }, "\(String(describing: headers))")
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A headers exchange ignores the key`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.headers)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "one", ["a": 1])
            #expect(try await broker.routes(exchange, "two") { $0.headers = ["a": 1] })
            #expect(try await !broker.routes(exchange, "one"))
        }

        @Test(arguments: ConformanceBroker.all, ["all-with-x", "any-with-x"])
        func `With x, headers that begin with x- are compared too`(
            _ broker: ConformanceBroker,
            _ match: String
        ) async throws {
            let exchange = try await broker.exchange(.headers)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "", ["x-match": .string(match), "x-a": 1])
            #expect(try await broker.routes(exchange) { $0.headers = ["x-a": 1] })
            #expect(try await !broker.routes(exchange) { $0.headers = ["x-a": 2] })
        }

        @Test(arguments: ConformanceBroker.all)
        func `An unknown x-match is refused`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.headers)
            let queue = try await broker.queue()
            await expectRefusal(.refused, 406, saying: "x-match", "some") {
                try await broker.bind(queue, to: exchange, "", ["x-match": "some", "a": 1])
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `Several matching bindings deliver one message`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange(.headers)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchange, "", ["a": 1])
            try await broker.bind(queue, to: exchange, "", ["b": 2])
            #expect(try await broker.routes(exchange) { $0.headers = ["a": 1, "b": 2] })
            #expect(try await broker.drain(queue).count == 1)
        }
    }
}
