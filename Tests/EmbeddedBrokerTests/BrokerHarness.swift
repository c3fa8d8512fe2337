import AMQP
import EmbeddedBroker
import Testing

/// An embedded broker on its own virtual clock, with shorthands for tests.
struct BrokerHarness: Sendable {
    let clock: VirtualClock
    let broker: EmbeddedBroker

    init(_ version: BrokerVersion = BrokerVersion(4, 3)) {
        let clock = VirtualClock()
        self.clock = clock
        broker = EmbeddedBroker(version: version, clock: clock)
    }

    func declare(
        _ name: String,
        _ kind: QueueKind = .classic,
        _ configure: (inout QueueArguments) -> Void = { _ in }
    ) async throws {
        try await broker.declare(QueueDeclaration(name, arguments: QueueArguments(kind, configure)))
    }

    func publish(_ text: String, to queue: String, _ configure: (inout BasicProperties) -> Void = { _ in }) async throws
    {
        var properties = BasicProperties()
        configure(&properties)
        try await broker.publish(Message(properties: properties, body: Array(text.utf8)), to: .queue(queue))
    }

    func publish(all texts: [String], to queue: String) async throws {
        for text in texts { try await publish(text, to: queue) }
    }

    /// The texts of a queue's ready messages, in order.
    func ready(_ queue: String) -> [String] { broker.readyMessages(in: queue).map(\.text) }

    /// Gets `count` messages from a queue, unsettled.
    func get(_ count: Int, from queue: String) async throws -> [Delivery] {
        var deliveries: [Delivery] = []
        for _ in 0..<count { deliveries.append(try #require(try await broker.get(queue: queue))) }
        return deliveries
    }
}

extension Message {
    var text: String { String(decoding: body, as: UTF8.self) }
}

/// The ``AMQPError`` that `body` must throw.
func amqpError(_ body: () async throws -> Void) async -> AMQPError? {
    await #expect(throws: AMQPError.self) { try await body() }
}
