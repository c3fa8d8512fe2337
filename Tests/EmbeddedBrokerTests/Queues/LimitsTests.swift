import AMQP
import EmbeddedBroker
import Testing

@Suite struct LimitsTests {
    private let harness = BrokerHarness()

    /// Publishes single letters; returns the refused ones.
    private func refused(_ letters: String, to queue: String) async throws -> String {
        var refused = ""
        for letter in letters {
            do { try await harness.publish(String(letter), to: queue) } catch let error as AMQPError {
                #expect(error.code == .nacked)
                refused.append(letter)
            }
        }
        return refused
    }

    @Test(arguments: [QueueKind.classic, .quorum])
    func `drop-head dead-letters the oldest messages`(kind: QueueKind) async throws {
        try await harness.declare("dead")
        try await harness.declare("q", kind) {
            $0.maxLength = 2
            $0.deadLetterExchange = ""
            $0.deadLetterRoutingKey = "dead"
        }
        #expect(try await refused("ABCDE", to: "q") == "")
        #expect(harness.ready("q") == ["D", "E"] && harness.ready("dead") == ["A", "B", "C"])
    }

    @Test func `reject-publish is exact on a classic queue, and lets one more into a quorum queue`() async throws {
        for kind in [QueueKind.classic, .quorum] {
            try await harness.declare(kind.rawValue, kind) {
                $0.maxLength = 2
                $0.overflow = .rejectPublish
            }
        }
        #expect(try await refused("ABCDE", to: "classic") == "CDE")
        #expect(try await refused("ABCDE", to: "quorum") == "DE")
        // A quorum queue accepts no more until a fifth of its limit is free.
        try await harness.get(1, from: "quorum")[0].ack()
        #expect(try await refused("F", to: "quorum") == "F")
        for delivery in try await harness.get(1, from: "quorum") { delivery.ack() }
        #expect(try await refused("G", to: "quorum") == "")
    }

    @Test func `reject-publish-dlx rejects the message and dead-letters it`() async throws {
        try await harness.declare("dead")
        try await harness.declare("q") {
            $0.maxLength = 1
            $0.overflow = .rejectPublishDLX
            $0.deadLetterExchange = ""
            $0.deadLetterRoutingKey = "dead"
        }
        #expect(try await refused("AB", to: "q") == "B")
        #expect(harness.ready("q") == ["A"] && harness.ready("dead") == ["B"])
    }

    @Test func `A limit in bytes counts the bodies of ready messages`() async throws {
        try await harness.declare("q") { $0.maxLengthBytes = 10 }
        try await harness.publish(all: ["12345", "67890", "X"], to: "q")
        #expect(harness.ready("q") == ["67890", "X"])
        try await harness.publish(all: ["longer than ten", "Y"], to: "q")
        #expect(harness.ready("q") == ["Y"])
    }

    @Test func `A message beyond the broker's limit is too large`() async throws {
        let old = BrokerHarness(BrokerVersion(3, 10))
        try await old.declare("q")
        let error = await amqpError {
            let body = [UInt8](repeating: 0, count: Message.maximumBodySize + 1)
            try await old.broker.publish(Message(body: body), to: .queue("q"))
        }
        #expect(error?.code == .messageTooLarge)
    }
}
