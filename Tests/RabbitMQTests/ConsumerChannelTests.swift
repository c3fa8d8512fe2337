import AMQP
import Testing

@testable import RabbitMQ

/// A consumer's state machine, event by event.
struct ConsumerChannelTests {
    private let stream = DeliveryStream(control: DeliveryStream.Control(cancel: {}, close: {}))
    private let started = Reply<Void>()

    /// A consumer in its `step`th step: 1 opens, 2 sets the prefetch, 3 starts, 4 runs.
    private func consumer(after step: Int) -> ConsumerChannel {
        let consumption = ConsumerChannel.Consumption(queue: "letters", prefetch: 5, arguments: [:])
        var consumer = ConsumerChannel(consumption, stream: stream, started: started)
        let answers: [InboundMethod] = [.channelOpenOk, .qosOk, .consumeOk(consumerTag: "tag")]
        for answer in answers.prefix(step - 1) { _ = consumer.answered(answer) }
        return consumer
    }

    private func runAgain(_ consumer: inout ConsumerChannel) {
        consumer.opening(ChannelID(number: 1, opening: 2))
        for answer in [InboundMethod.channelOpenOk, .qosOk, .consumeOk(consumerTag: "tag")] {
            _ = consumer.answered(answer)
        }
    }

    @Test func `a running consumer survives its connection`() {
        var consumer = consumer(after: 4)
        #expect(stream.isRegistered)
        let goesOn = consumer.connectionLost()
        #expect(goesOn)
        #expect(!stream.isRegistered)
        #expect(!consumer.isAbandoned)
        runAgain(&consumer)
        #expect(stream.isRegistered)
    }

    @Test func `one that was being cancelled ends with its connection`() async throws {
        var consumer = consumer(after: 4)
        let cancelled = Reply<Void>()
        _ = consumer.cancel(cancelled)
        let goesOn = consumer.connectionLost()
        #expect(!goesOn)
        #expect(cancelled.isDone)
        #expect(try await stream.nextBatch().isEmpty)
    }

    @Test(arguments: 1...3)
    func `one that was being started is started on the next connection`(step: Int) {
        var consumer = consumer(after: step)
        let goesOn = consumer.connectionLost()
        #expect(goesOn)
        #expect(!started.isDone)
        runAgain(&consumer)
        #expect(started.isDone)
    }

    @Test func `one that nobody waits for any more is not started`() {
        var consumer = consumer(after: 2)
        started.finish(.failure(AMQPError(.deadlineExceeded, "")))
        _ = consumer.connectionLost()
        #expect(consumer.isAbandoned)
    }

    @Test func `a queue that is gone is declared again once, and then the reader learns of it`() async {
        var consumer = consumer(after: 4)
        _ = consumer.connectionLost()
        let missing = BrokerReply(code: 404, text: "NOT_FOUND - no queue 'letters' in vhost '/'")
        let first = consumer.channelClosed(missing)
        #expect(first == .redeclare)
        let second = consumer.channelClosed(missing)
        #expect(second == .ended)
        let error = await #expect(throws: AMQPError.self) { try await stream.nextBatch() }
        #expect(error?.code == .notFound)
    }

    @Test func `a queue that the last connection still holds is tried again later`() {
        var consumer = consumer(after: 4)
        _ = consumer.connectionLost()
        for _ in 0..<5 {
            let closing = consumer.channelClosed(BrokerReply(code: 405, text: "RESOURCE_LOCKED"))
            #expect(closing == .retryLater)
        }
    }

    @Test func `a channel that the broker closes on a running consumer ends it`() async {
        var consumer = consumer(after: 4)
        let closing = consumer.channelClosed(
            BrokerReply(code: 406, text: "PRECONDITION_FAILED - delivery acknowledgement timed out")
        )
        #expect(closing == .ended)
        let error = await #expect(throws: AMQPError.self) { try await stream.nextBatch() }
        #expect(error?.code == .channelClosed)
    }
}
