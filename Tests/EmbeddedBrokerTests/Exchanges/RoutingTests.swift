import AMQP
import EmbeddedBroker
import Testing

@Suite struct RoutingTests {
    private let harness = BrokerHarness()
    private var broker: EmbeddedBroker { harness.broker }

    private func queues(_ names: String...) async throws {
        for name in names { try await harness.declare(name) }
    }

    private func publish(_ key: String, to exchange: String, _ headers: FieldTable? = nil) async throws {
        var message = Message(body: Array(key.utf8))
        message.properties.headers = headers
        try await broker.publish(message, to: Destination(exchange: exchange, routingKey: key), mandatory: false)
    }

    @Test func `Direct, topic and fanout exchanges route by their bindings`() async throws {
        try await queues("one", "two")
        for (name, kind) in [("d", ExchangeKind.direct), ("t", .topic), ("f", .fanout)] {
            try await broker.declare(ExchangeDeclaration(name, kind: kind))
            try await broker.bind(Binding(from: name, to: .queue("one"), routingKey: "a.*"))
            try await broker.bind(Binding(from: name, to: .queue("two"), routingKey: "a.b"))
        }
        try await publish("a.b", to: "d")
        #expect(harness.ready("one").isEmpty && harness.ready("two") == ["a.b"])
        try await publish("a.c", to: "t")
        #expect(harness.ready("one") == ["a.c"])
        try await publish("any", to: "f")
        #expect(harness.ready("one") == ["a.c", "any"] && harness.ready("two") == ["a.b", "any"])
    }

    @Test func `A queue with several matching bindings gets a message once`() async throws {
        try await queues("one")
        try await broker.declare(ExchangeDeclaration("t", kind: .topic))
        try await broker.declare(ExchangeDeclaration("f", kind: .fanout))
        for key in ["#", "a.*", "a.b"] { try await broker.bind(Binding(from: "t", to: .queue("one"), routingKey: key)) }
        try await broker.bind(Binding(from: "t", to: .exchange("f"), routingKey: "a.b"))
        try await broker.bind(Binding(from: "f", to: .exchange("t"), routingKey: ""))
        try await broker.bind(Binding(from: "f", to: .queue("one"), routingKey: ""))
        try await publish("a.b", to: "t")
        #expect(harness.ready("one") == ["a.b"])
    }

    @Test func `An alternate exchange gets only messages that its exchange can't route`() async throws {
        try await queues("known", "unknown")
        try await broker.declare(ExchangeDeclaration("other", kind: .fanout))
        try await broker.bind(Binding(from: "other", to: .queue("unknown"), routingKey: ""))
        try await broker.declare(ExchangeDeclaration("main", kind: .direct, alternateExchange: "other"))
        try await broker.bind(Binding(from: "main", to: .queue("known"), routingKey: "k"))
        try await publish("k", to: "main")
        try await publish("else", to: "main")
        #expect(harness.ready("known") == ["k"] && harness.ready("unknown") == ["else"])
    }

    @Test func `CC and BCC add routing keys, and BCC isn't passed on`() async throws {
        try await queues("one", "two", "three")
        try await publish("one", to: "", ["CC": ["two"], "BCC": ["three"], "kept": 1])
        for queue in ["one", "two", "three"] {
            let headers = try #require(broker.readyMessages(in: queue).first?.properties.headers)
            #expect(headers == ["CC": ["two"], "kept": 1])
        }
    }

    @Test func `A removed binding, or a queue declared again, takes effect at once`() async throws {
        try await queues("one")
        let binding = Binding(from: "amq.topic", to: .queue("one"), routingKey: "k")
        try await broker.bind(binding)
        try await publish("k", to: "amq.topic")
        try await broker.unbind(binding)
        try await publish("k", to: "amq.topic")
        #expect(harness.ready("one") == ["k"])
        try await broker.deleteQueue("one")
        try await publish("one", to: "")
        try await queues("one")
        #expect(harness.ready("one").isEmpty)
        try await publish("one", to: "")
        #expect(harness.ready("one") == ["one"])
    }

    @Test func `An auto-delete exchange is deleted with its last binding, and so are bindings to it`() async throws {
        try await queues("one")
        try await broker.declare(ExchangeDeclaration("outer", kind: .fanout, isAutoDelete: true))
        try await broker.declare(ExchangeDeclaration("inner", kind: .fanout, isAutoDelete: true))
        try await broker.bind(Binding(from: "outer", to: .exchange("inner"), routingKey: ""))
        try await broker.bind(Binding(from: "inner", to: .queue("one"), routingKey: ""))
        try await broker.deleteQueue("one")
        #expect(try await !broker.exchangeExists("inner"))
        #expect(try await !broker.exchangeExists("outer"))
    }

    @Test func `Publishing to an internal exchange is refused, and a missing exchange is not found`() async throws {
        try await broker.declare(ExchangeDeclaration("inside", kind: .fanout, isInternal: true))
        #expect(await amqpError { try await publish("k", to: "inside") }?.code == .accessRefused)
        #expect(await amqpError { try await publish("k", to: "nowhere") }?.code == .notFound)
    }
}
