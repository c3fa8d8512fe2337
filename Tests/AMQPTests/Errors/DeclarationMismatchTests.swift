import AMQP
import Testing

struct DeclarationMismatchTests {
    static func text(_ rest: String) -> String { "PRECONDITION_FAILED - inequivalent arg \(rest)" }

    func mismatch(_ rest: String) throws -> DeclarationMismatch {
        try #require(DeclarationMismatch(text: Self.text(rest)))
    }

    @Test func `A refusal names the queue, the virtual host, the argument and both values`() throws {
        let found = try mismatch(
            "'x-message-ttl' for queue 'emails' in vhost '/': received '1000' but current is '2000'"
        )
        #expect(found.object == .queue)
        #expect(found.name == "emails")
        #expect(found.virtualHost == "/")
        #expect(found.argument == "x-message-ttl")
        #expect(found.received == .init(text: "1000"))
        #expect(found.current == .init(text: "2000"))
        #expect(!found.isCut)
    }

    @Test func `A refusal shows that only the declaration has a value`() throws {
        let found = try mismatch(
            "'x-message-ttl' for queue 'q' in vhost '/': received the value '1000' of type 'long' but current is none"
        )
        #expect(found.received?.fieldValue == .int64(1000))
        #expect(found.current == nil)
    }

    @Test func `A refusal shows that only the queue has a value`() throws {
        let found = try mismatch(
            "'x-dead-letter-exchange' for queue 'q' in vhost '/': received none but current is the value 'dead' of type 'longstr'"
        )
        #expect(found.received == nil)
        #expect(found.current?.fieldValue == .string("dead"))
    }

    @Test func `Both values are read with their types, which older brokers send`() throws {
        let found = try mismatch(
            "'x-max-length' for queue 'q' in vhost '/': received the value '10' of type 'signedint' but current is "
                + "the value '20' of type 'long'"
        )
        #expect(found.received?.fieldValue == .int32(10))
        #expect(found.current?.fieldValue == .int64(20))
    }

    @Test func `Properties of queues and exchanges are read`() throws {
        let durable = try mismatch("'durable' for queue 'q' in vhost 'v': received 'false' but current is 'true'")
        #expect(durable.current?.text == "true")
        let kind = try mismatch("'type' for exchange 'x' in vhost 'v': received 'topic' but current is ''x-random''")
        #expect(kind.object == .exchange)
        #expect(kind.received?.text == "topic")
        #expect(kind.current?.text == "x-random")
        let empty = try mismatch("'x-dead-letter-exchange' for queue 'q' in vhost '/': received '' but current is 'a'")
        #expect(empty.received?.text == "")
    }

    @Test func `Names and values may hold quotes and the broker's own words`() throws {
        let found = try mismatch(
            "'x-dead-letter-exchange' for queue 'it's 'here' in vhost 'v'w': received ' but current is ' but current is 'b': received c'"
        )
        #expect(found.name == "it's 'here")
        #expect(found.virtualHost == "v'w")
        #expect(found.received?.text == " but current is ")
        #expect(found.current?.text == "b': received c")
        let typed = try mismatch(
            "'x-dead-letter-exchange' for queue 'q': received x' in vhost '/': received the value 'a' of type 'b' of type 'longstr' "
                + "but current is none"
        )
        #expect(typed.name == "q': received x")
        #expect(typed.received == .init(text: "a' of type 'b", type: "longstr"))
    }

    @Test func `A text that the broker cut is read as far as it goes`() throws {
        let name = String(repeating: "q", count: 250)
        let whole = Self.text("'x-message-ttl' for queue '\(name)' in vhost '/': received '1' but current is '2'")
        let found = try #require(DeclarationMismatch(text: whole.prefix(252) + "..."))
        #expect(found.isCut)
        #expect(found.argument == "x-message-ttl")
        #expect(name.hasPrefix(found.name))
        #expect(found.current == nil)
        #expect(QueueDeclaration(name).adopting(found) == nil)
        #expect(found.difference.contains("another x-message-ttl"))
    }

    @Test func `A text cut anywhere never crashes the parser or yields a wrong argument`() {
        let whole = Self.text(
            "'x-max-length' for queue 'é' in vhost '/': received none but current is the value '2' of type 'long'"
        )
        for length in 0..<whole.count {
            let found = DeclarationMismatch(text: whole.prefix(length) + "...")
            #expect(found == nil || found?.argument == "x-max-length")
        }
    }

    @Test(arguments: [
        "", "NOT_FOUND - no queue 'q' in vhost '/'", "PRECONDITION_FAILED - inequivalent arg ",
        "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue",
        "PRECONDITION_FAILED - inequivalent arg 'a' for shovel 'q' in vhost '/': received none but current is none",
    ]
    )
    func `Other texts are not read as a refusal`(_ text: String) {
        #expect(DeclarationMismatch(reply: BrokerReply(code: 406, text: text)) == nil)
    }

    @Test func `The description says what differs, and that a policy can resolve it, where one can`() throws {
        let found = try mismatch(
            "'x-message-ttl' for queue 'q' in vhost '/': received the value '1000' of type 'long' but current is none"
        )
        #expect(found.policyKey == "message-ttl")
        #expect(
            found.description
                == "Queue 'q' in virtual host '/' exists and has no x-message-ttl, where the declaration says '1000'. Declare the "
                + "queue as it is, and give it the declared message-ttl by a policy, which can be changed at any time."
        )
        let lower = try mismatch("'x-max-length' for queue 'q' in vhost '/': received '5' but current is '10'")
        #expect(lower.policyKey == "max-length")
    }

    @Test func `The advice says how to migrate, where no policy can help`() throws {
        for rest in [
            "'x-max-length' for queue 'q' in vhost '/': received '50' but current is '10'",
            "'x-queue-type' for queue 'q' in vhost '/': received 'quorum' but current is 'classic'",
            "'x-dead-letter-exchange' for queue 'q' in vhost '/': received 'a' but current is 'b'",
            "'durable' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
        ] {
            let found = try mismatch(rest)
            #expect(found.policyKey == nil)
            #expect(found.advice.contains("another name"))
        }
    }

    @Test func `The difference names the type where both texts are equal`() throws {
        let found = try mismatch("'x-max-length' for queue 'q' in vhost '/': received '10' but current is '10'")
        #expect(found.difference.contains("'10' of another type"))
    }
}
