import AMQP
import Testing

struct AdoptingTests {
    let queue = QueueDeclaration(
        "q",
        arguments: QueueArguments(.quorum) {
            $0.messageTTL = .seconds(1)
            $0.deadLetterExchange = "dead"
            $0.singleActiveConsumer = true
        }
    )

    func adopted(_ argument: String, _ current: DeclarationMismatch.Value?) throws -> QueueDeclaration {
        try #require(queue.adopting(mismatch(argument, current)))
    }

    func mismatch(
        _ argument: String,
        _ current: DeclarationMismatch.Value?,
        _ object: DeclarationMismatch.Object = .queue
    ) throws -> DeclarationMismatch {
        var mismatch = try #require(
            DeclarationMismatch(
                text:
                    "inequivalent arg '\(argument)' for \(object.rawValue) 'q' in vhost '/': received none but current is none"
            )
        )
        mismatch.current = current
        return mismatch
    }

    @Test func `An argument gets the current value, of the declared type where the broker names none`() throws {
        #expect(try adopted("x-message-ttl", .init(text: "2000")).arguments.arguments["x-message-ttl"] == .int64(2000))
        #expect(
            try adopted("x-dead-letter-exchange", .init(text: "2000")).arguments.arguments["x-dead-letter-exchange"]
                == "2000"
        )
        #expect(
            try adopted("x-single-active-consumer", .init(text: "false")).arguments.arguments[
                "x-single-active-consumer"
            ]
                == false
        )
        #expect(try adopted("x-queue-type", .init(text: "classic")).arguments.arguments["x-queue-type"] == "classic")
    }

    @Test func `An argument that only the queue has is added, of the type that the broker names`() throws {
        #expect(
            try adopted("x-max-length", .init(text: "5", type: "long")).arguments.arguments["x-max-length"] == .int64(5)
        )
    }

    @Test func `An argument that the queue doesn't have is removed, and a queue without a type is classic`() throws {
        #expect(
            try adopted("x-dead-letter-exchange", nil).arguments.arguments
                == ["x-queue-type": "quorum", "x-message-ttl": .int64(1000), "x-single-active-consumer": true]
        )
        #expect(try adopted("x-queue-type", nil).arguments.arguments["x-queue-type"] == "classic")
    }

    @Test func `The result is valid whatever was adopted, so that it can be declared`() throws {
        let strict = QueueDeclaration(
            "q",
            arguments: QueueArguments(.quorum) {
                $0.deadLetterExchange = "dead"
                $0.deadLetterRoutingKey = "key"
                $0.deadLetterStrategy = .atLeastOnce
                $0.overflow = .rejectPublish
            }
        )
        try strict.validate()
        for (argument, current) in [
            ("x-dead-letter-exchange", nil), ("x-overflow", nil), ("x-queue-type", "classic"), ("durable", "false"),
        ] as [(String, String?)] {
            let value = current.map { DeclarationMismatch.Value(text: $0) }
            try #require(strict.adopting(mismatch(argument, value))).validate()
        }
    }

    @Test func `Durable and auto-delete are adopted`() throws {
        #expect(try !adopted("durable", .init(text: "false")).isDurable)
        #expect(try adopted("auto_delete", .init(text: "true")).isAutoDelete)
    }

    @Test func `Nothing is adopted where it would change nothing or make no sense`() throws {
        #expect(try queue.adopting(mismatch("durable", .init(text: "true"))) == nil)
        #expect(try queue.adopting(mismatch("durable", .init(text: "maybe"))) == nil)
        #expect(try queue.adopting(mismatch("x-message-ttl", .init(text: "[{a}]", type: "array"))) == nil)
        #expect(try queue.adopting(mismatch("x-unheard-of", .init(text: "1"))) == nil)
        #expect(try queue.adopting(mismatch("durable", .init(text: "false"), .exchange)) == nil)
    }

    @Test func `An exchange adopts type, durable, auto-delete, internal and alternate exchange`() throws {
        let exchange = ExchangeDeclaration("q", kind: .topic, alternateExchange: "other")
        func adopted(_ argument: String, _ text: String?) throws -> ExchangeDeclaration {
            let current = text.map { DeclarationMismatch.Value(text: $0) }
            return try #require(exchange.adopting(mismatch(argument, current, .exchange)))
        }
        #expect(try adopted("type", "direct").kind == .direct)
        #expect(try !adopted("durable", "false").isDurable)
        #expect(try adopted("auto_delete", "true").isAutoDelete)
        #expect(try adopted("internal", "true").isInternal)
        #expect(try adopted("alternate-exchange", nil).arguments.isEmpty)
        #expect(try adopted("alternate-exchange", "third").arguments == ["alternate-exchange": "third"])
    }
}
