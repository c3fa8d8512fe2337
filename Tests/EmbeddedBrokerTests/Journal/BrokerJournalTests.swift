import AMQP
import EmbeddedBroker
import Synchronization
import Testing

/// A journal in an array.
private final class MemoryJournal: BrokerJournal {
    private let changes = Mutex<[BrokerChange]>([])

    var all: [BrokerChange] { changes.withLock { $0 } }

    func append(_ new: [BrokerChange]) -> UInt64 {
        changes.withLock { changes in
            changes += new
            return UInt64(changes.count)
        }
    }

    func waitUntilPersisted(_ number: UInt64, until deadline: ContinuousClock.Instant?) async throws(AMQPError) {}

    func close() async {}
}

@Suite struct BrokerJournalTests {
    private let clock = VirtualClock()
    private let journal = MemoryJournal()
    private let persistent: (inout BasicProperties) -> Void = { $0.deliveryMode = .persistent }

    private func broker() -> EmbeddedBroker {
        EmbeddedBroker(clock: clock, journal: journal, restoring: journal.all)
    }

    private func publish(_ text: String, to queue: String, _ mode: DeliveryMode, _ broker: EmbeddedBroker) async throws
    {
        var message = Message(body: Array(text.utf8))
        message.properties.deliveryMode = mode
        try await broker.publish(message, to: .queue(queue))
    }

    @Test func `Durable declarations and persistent messages are restored in their order`() async throws {
        let first = broker()
        try await first.declare(ExchangeDeclaration("letters", kind: .topic))
        try await first.declare(ExchangeDeclaration("fleeting", kind: .topic, isDurable: false))
        try await first.declare(QueueDeclaration("q"))
        try await first.declare(QueueDeclaration("mine", isExclusive: true))
        try await first.bind(Binding(from: "letters", to: .queue("q"), routingKey: "#"))
        for text in ["A", "B", "C"] { try await publish(text, to: "q", .persistent, first) }
        try await publish("lost", to: "q", .transient, first)
        let deliveries = [try await first.get(queue: "q"), try await first.get(queue: "q")].compactMap(\.self)
        deliveries[0].ack()
        let second = broker()
        #expect(second.queueNames == ["q"])
        #expect(try await !second.exchangeExists("fleeting"))
        #expect(second.readyMessages(in: "q").map(\.text) == ["B", "C"])
        try await second.publish(Message(body: [68]), to: Destination(exchange: "letters", routingKey: "k"))
        #expect(second.readyMessages(in: "q").map(\.text) == ["B", "C", "D"])
    }

    @Test func `Messages that expire without a broker are dead-lettered once, and delivery counts stay`() async throws {
        let first = broker()
        try await first.declare(QueueDeclaration("dead", arguments: QueueArguments(.quorum)))
        let arguments = QueueArguments(.quorum) {
            $0.messageTTL = .seconds(60)
            $0.deadLetterExchange = ""
            $0.deadLetterRoutingKey = "dead"
        }
        try await first.declare(QueueDeclaration("q", arguments: arguments))
        try await publish("A", to: "q", .persistent, first)
        try await first.get(queue: "q")?.reject(requeue: true)
        let second = broker()
        #expect(second.readyMessages(in: "q").first?.properties.headers?["x-delivery-count"] == .int64(1))
        clock.advance(by: .seconds(60))
        #expect(second.readyMessages(in: "dead").count == 1)
        let third = EmbeddedBroker(clock: clock, journal: journal, restoring: journal.all)
        #expect(third.readyMessages(in: "q").isEmpty)
    }

    @Test func `Messages unsettled at the end are requeued as from a lost channel, requeued ones only once`()
        async throws
    {
        let first = broker()
        try await first.declare(QueueDeclaration("q", arguments: QueueArguments(.quorum)))
        for text in ["A", "B", "C"] { try await publish(text, to: "q", .persistent, first) }
        let deliveries = [try await first.get(queue: "q"), try await first.get(queue: "q")].compactMap(\.self)
        deliveries[1].reject(requeue: true)
        let second = broker()
        let counts = second.readyMessages(in: "q").map { $0.properties.headers?["x-delivery-count"]?.integerValue }
        #expect(counts.map { $0 ?? 0 } == [1, 1, 0])
        let delivery = try #require(try await second.get(queue: "q"))
        #expect(delivery.isRedelivered)
    }
}
