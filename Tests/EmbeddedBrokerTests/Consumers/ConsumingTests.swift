import AMQP
import EmbeddedBroker
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConsumingTests {
    private let harness = BrokerHarness()
    private var broker: EmbeddedBroker { harness.broker }

    @Test func `At most as many deliveries as the prefetch are unsettled, and settling lets more arrive`() async throws
    {
        try await harness.declare("q")
        try await harness.publish(all: ["A", "B", "C"], to: "q")
        let stream = try await broker.consume(queue: "q", prefetch: 2)
        let first = try await stream.nextBatch()
        #expect(first.map(\.message.text) == ["A", "B"])
        #expect(broker.unsettledCount(of: "q") == 2)
        first[1].ack()
        #expect(try await stream.nextBatch().map(\.message.text) == ["C"])
    }

    @Test func `A cancelled consumer ends, and its deliveries can still be settled`() async throws {
        try await harness.declare("q")
        try await harness.publish(all: ["A", "B"], to: "q")
        let stream = try await broker.consume(queue: "q", prefetch: 1)
        await stream.cancel()
        let deliveries = try await stream.nextBatch()
        #expect(deliveries.count == 1)
        #expect(try await stream.nextBatch().isEmpty)
        deliveries[0].ack()
        #expect(broker.unsettledCount(of: "q") == 0 && harness.ready("q") == ["B"])
    }

    @Test func `Deleting the queue cancels its consumers`() async throws {
        try await harness.declare("q")
        let stream = try await broker.consume(queue: "q", prefetch: 1)
        try await broker.deleteQueue("q")
        #expect(await amqpError { _ = try await stream.nextBatch() }?.code == .consumerCancelled)
    }

    @Test func `An auto-delete queue is deleted with its last consumer`() async throws {
        try await broker.declare(QueueDeclaration("q", isAutoDelete: true))
        let one = try await broker.consume(queue: "q", prefetch: 1)
        let two = try await broker.consume(queue: "q", prefetch: 1)
        await one.cancel()
        #expect(broker.queueNames == ["q"])
        await two.cancel(requeuesUnsettled: true)
        #expect(broker.queueNames.isEmpty)
    }

    @Test func `After lost connections streams go on, and unsettled messages are redelivered`() async throws {
        try await harness.declare("q")
        let name = try await broker.declare(QueueDeclaration("mine", isExclusive: true)).name
        try await harness.publish("gone", to: name)
        try await harness.publish("A", to: "q")
        let stream = try await broker.consume(queue: "q", prefetch: 1)
        let before = try await stream.nextBatch()
        broker.closeConnections()
        #expect(before[0].isLost && stream.isRegistered)
        let after = try await stream.nextBatch()
        #expect(after.map(\.isRedelivered) == [true])
        before[0].ack()
        #expect(broker.unsettledCount(of: "q") == 1)
        after[0].ack()
        #expect(broker.unsettledCount(of: "q") == 0)
        #expect(broker.queueNames == ["mine", "q"] && harness.ready("mine").isEmpty)
    }

    @Test func `A lost connection leaves the others alone`() async throws {
        try await harness.declare("q")
        try await harness.publish(all: ["A", "B"], to: "q")
        let other = broker.connect()
        let kept = try #require(try await broker.get(queue: "q"))
        let lost = try #require(try await other.get(queue: "q"))
        other.lose()
        #expect(lost.isLost && !kept.isLost)
        #expect(harness.ready("q") == ["B"])
    }

    @Test func `A delivery beyond the consumer timeout ends the channel or, since 4.3, the consumer`() async throws {
        for (version, code) in [
            (BrokerVersion(4, 0), AMQPError.Code.channelClosed), (BrokerVersion(4, 3), .consumerCancelled),
        ] {
            let harness = BrokerHarness(version)
            try await harness.declare("q", .quorum)
            try await harness.publish("A", to: "q")
            let stream = try await harness.broker.consume(queue: "q", prefetch: 1)
            let held = try await stream.nextBatch()
            harness.clock.advance(by: .seconds(1_799))
            #expect(!held[0].isLost)
            harness.clock.advance(by: .seconds(1))
            #expect(held[0].isLost && harness.ready("q") == ["A"])
            #expect(await amqpError { _ = try await stream.nextBatch() }?.code == code)
        }
    }

    @Test func `Readers of a stream start where they like, and remove nothing`() async throws {
        try await harness.declare("log", .stream)
        try await harness.publish(all: ["A", "B", "C"], to: "log")
        func read(_ offset: FieldValue) async throws -> [String] {
            let stream = try await broker.consume(queue: "log", prefetch: 10, arguments: ["x-stream-offset": offset])
            try await harness.publish("end", to: "log")
            var texts: [String] = []
            var iterator = stream.makeAsyncIterator()
            while texts.last != "end", let delivery = try await iterator.next() {
                texts.append(delivery.message.text)
                delivery.ack()
            }
            await stream.cancel(requeuesUnsettled: true)
            return texts
        }
        #expect(try await read("next") == ["end"])
        #expect(try await read("first") == ["A", "B", "C", "end"])
        #expect(try await read(2) == ["C", "end"])
        #expect(try await broker.status(ofQueue: "log").messageCount == 6)
        #expect(await amqpError { _ = try await broker.get(queue: "log") }?.code == .refused)
    }
}
