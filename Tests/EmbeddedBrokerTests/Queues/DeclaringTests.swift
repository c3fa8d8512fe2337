import AMQP
import EmbeddedBroker
import Testing

@Suite struct DeclaringTests {
    private let harness = BrokerHarness()
    private var broker: EmbeddedBroker { harness.broker }

    private func refusal(_ name: String, _ arguments: FieldTable) async -> AMQPError? {
        var declaration = QueueDeclaration(name)
        declaration.arguments.other = arguments
        return await amqpError { try await broker.declare(declaration) }
    }

    @Test func `A mismatch is reported in RabbitMQ's words, and parsed`() async throws {
        try await harness.declare("q") { $0.messageTTL = .seconds(1) }
        let error = await refusal("q", ["x-queue-type": "classic", "x-message-ttl": 2_000])
        #expect(error?.code == .declarationMismatch)
        #expect(
            error?.reply?.text
                == "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '2000' but current is '1000'"
        )
        #expect(error?.message.contains("by a policy") == false)
        let none = await refusal("q", ["x-queue-type": "classic"])
        #expect(none?.reply?.text.hasSuffix("received none but current is the value '1000' of type 'long'") == true)
    }

    @Test func `Integers of different widths are equivalent, and unknown arguments don't matter`() async throws {
        try await harness.declare("q") { $0.maxLength = 5 }
        var declaration = QueueDeclaration("q")
        declaration.arguments.other = ["x-max-length": .int16(5), "x-unknown": true]
        try await broker.declare(declaration)
    }

    @Test(arguments: [
        ("x-message-ttl", FieldValue.string("soon"), "\"expected integer, got longstr\""),
        ("x-message-ttl", .int64(-1), "{value_negative,-1}"), ("x-expires", .int64(0), "{value_zero,0}"),
        ("x-max-priority", .int32(256), "{max_value_exceeded,256}"), ("x-overflow", "spill", "invalid_overflow"),
        ("x-dead-letter-routing-key", "k", "routing_key_but_no_dlx_defined"),
        ("x-single-active-consumer", "yes", "{unacceptable_type,longstr}"),
        ("x-queue-type", "pile", "\"unsupported queue type 'pile'\""),
        ("x-delivery-limit", .int64(5), " of queue type rabbit_classic_queue"),
    ])
    func `An invalid argument is refused with the reason`(name: String, value: FieldValue, why: String) async {
        let error = await refusal("q", [name: value])
        #expect(error?.code == .refused)
        #expect(error?.reply?.code == 406)
        #expect(error?.reply?.text.contains("invalid arg '\(name)' for queue 'q' in vhost '/'") == true)
        #expect(error?.reply?.text.hasSuffix(why) == true)
    }

    @Test func `Reserved names and predeclared exchanges are protected`() async throws {
        #expect(await amqpError { try await broker.declare(QueueDeclaration("amq.q")) }?.code == .accessRefused)
        let exchange = ExchangeDeclaration("amq.new", kind: .direct)
        #expect(await amqpError { try await broker.declare(exchange) }?.code == .accessRefused)
        #expect(await amqpError { try await broker.deleteExchange("amq.direct") }?.code == .accessRefused)
        #expect(await amqpError { try await broker.deleteExchange("") }?.code == .accessRefused)
        try await broker.declare(ExchangeDeclaration("amq.direct", kind: .direct))
    }

    @Test func `A missing queue is not found, and deleting it is not an error`() async throws {
        #expect(await amqpError { _ = try await broker.status(ofQueue: "q") }?.code == .notFound)
        let binding = Binding(from: "amq.topic", to: .queue("q"), routingKey: "k")
        #expect(await amqpError { try await broker.bind(binding) }?.code == .notFound)
        try await broker.unbind(binding)
        #expect(try await broker.deleteQueue("q") == 0)
        try await broker.deleteExchange("nowhere")
        #expect(try await !broker.exchangeExists("nowhere"))
    }

    @Test func `A queue without a name gets one, and counts its messages`() async throws {
        let name = try await broker.declare(QueueDeclaration("", isExclusive: true)).name
        #expect(name.hasPrefix("amq.gen-"))
        try await harness.publish(all: ["A", "B"], to: name)
        #expect(try await broker.purgeQueue(name) == 2)
    }

    @Test func `An exclusive queue belongs to its connection, and is deleted with it`() async throws {
        let owner = broker.connect()
        try await owner.declare(QueueDeclaration("mine", isExclusive: true))
        #expect(await amqpError { _ = try await broker.status(ofQueue: "mine") }?.code == .resourceLocked)
        #expect(await amqpError { _ = try await broker.get(queue: "mine") }?.code == .resourceLocked)
        await owner.close()
        #expect(broker.queueNames.isEmpty)
    }

    @Test func `An unused queue expires, and each use extends its life`() async throws {
        try await harness.declare("q") { $0.expires = .seconds(10) }
        harness.clock.advance(by: .seconds(9))
        _ = try await broker.get(queue: "q")
        harness.clock.advance(by: .seconds(9))
        let stream = try await broker.consume(queue: "q", prefetch: 1)
        harness.clock.advance(by: .seconds(60))
        #expect(broker.queueNames == ["q"])
        await stream.cancel(requeuesUnsettled: true)
        harness.clock.advance(by: .seconds(10))
        #expect(broker.queueNames.isEmpty)
    }

    @Test func `A quorum queue must be durable, whatever the client lets through`() async {
        var declaration = QueueDeclaration("q", isDurable: false)
        declaration.arguments.other = ["x-queue-type": "quorum"]
        let error = await amqpError { try await broker.declare(declaration) }
        #expect(error?.reply?.text.contains("invalid property 'non-durable'") == true)
    }
}
