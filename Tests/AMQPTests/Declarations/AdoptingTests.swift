import AMQP
import Testing

@Suite("Taking what exists into a declaration")
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

    @Test("changes an argument to the current value, of the kind that was sent where the broker tells no type")
    func changes() throws {
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

    @Test("adds an argument that only the queue has, of the type the broker tells")
    func adds() throws {
        #expect(
            try adopted("x-max-length", .init(text: "5", type: "long")).arguments.arguments["x-max-length"] == .int64(5)
        )
    }

    @Test("removes an argument that the queue doesn't have, and knows a queue without a type for classic")
    func removes() throws {
        #expect(
            try adopted("x-dead-letter-exchange", nil).arguments.arguments
                == ["x-queue-type": "quorum", "x-message-ttl": .int64(1000), "x-single-active-consumer": true]
        )
        #expect(try adopted("x-queue-type", nil).arguments.arguments["x-queue-type"] == "classic")
    }

    @Test("is valid whatever was taken in, so that it can be declared")
    func isValid() throws {
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

    @Test("changes durable and auto-delete")
    func properties() throws {
        #expect(try !adopted("durable", .init(text: "false")).isDurable)
        #expect(try adopted("auto_delete", .init(text: "true")).isAutoDelete)
    }

    @Test("is refused where it would change nothing or nothing that makes sense")
    func refused() throws {
        #expect(try queue.adopting(mismatch("durable", .init(text: "true"))) == nil)
        #expect(try queue.adopting(mismatch("durable", .init(text: "maybe"))) == nil)
        #expect(try queue.adopting(mismatch("x-message-ttl", .init(text: "[{a}]", type: "array"))) == nil)
        #expect(try queue.adopting(mismatch("x-unheard-of", .init(text: "1"))) == nil)
        #expect(try queue.adopting(mismatch("durable", .init(text: "false"), .exchange)) == nil)
    }

    @Test("works for exchanges: type, durable, auto-delete, internal, alternate exchange")
    func exchanges() throws {
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
