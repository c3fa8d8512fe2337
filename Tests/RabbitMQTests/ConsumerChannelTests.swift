import AMQP
import Testing

@testable import RabbitMQ

/// A consumer's state machine, event by event.
struct ConsumerChannelTests {
    private let stream = DeliveryStream(control: DeliveryStream.Control(cancel: { _ in }))
    private let started = Reply<Void>()

    /// A consumer in a step of its life: 1 opens the channel, 2 sets the prefetch, 3 registers, 4 runs.
    private func consumer(inStep step: Int) -> ConsumerChannel {
        let consumption = ConsumerChannel.Consumption(queue: "letters", prefetch: 5)
        var consumer = ConsumerChannel(consumption, source: stream.source, started: started, ref: ConsumerRef())
        let answers: [InboundMethod] = [.channelOpenOk, .qosOk, .consumeOk(consumerTag: "tag")]
        for answer in answers.prefix(step - 1) { _ = consumer.answered(answer) }
        return consumer
    }

    private func restart(_ consumer: inout ConsumerChannel) {
        consumer.opening(ChannelID(number: 1, opening: 2))
        for answer in [InboundMethod.channelOpenOk, .qosOk, .consumeOk(consumerTag: "tag")] {
            _ = consumer.answered(answer)
        }
    }

    @Test func `A running consumer survives its connection`() {
        var consumer = consumer(inStep: 4)
        #expect(stream.isRegistered)
        let resumes = consumer.connectionLost()
        #expect(resumes)
        #expect(!stream.isRegistered)
        #expect(!consumer.isAbandoned)
        restart(&consumer)
        #expect(stream.isRegistered)
    }

    @Test func `A consumer that is being cancelled ends with its connection`() async throws {
        var consumer = consumer(inStep: 4)
        let cancelled = Reply<Void>()
        _ = consumer.cancel(cancelled)
        let resumes = consumer.connectionLost()
        #expect(!resumes)
        #expect(cancelled.isDone)
        #expect(try await stream.nextBatch().isEmpty)
    }

    @Test(arguments: 1...3)
    func `A consumer that is being registered is registered on the next connection`(step: Int) {
        var consumer = consumer(inStep: step)
        let resumes = consumer.connectionLost()
        #expect(resumes)
        #expect(!started.isDone)
        restart(&consumer)
        #expect(started.isDone)
    }

    @Test func `A consumer for which nobody waits any more is not registered`() {
        var consumer = consumer(inStep: 2)
        started.finish(.failure(AMQPError(.deadlineExceeded, "")))
        _ = consumer.connectionLost()
        #expect(consumer.isAbandoned)
    }

    @Test func `A queue that is gone is declared again once, and then the stream ends with an error`() async {
        var consumer = consumer(inStep: 4)
        _ = consumer.connectionLost()
        let missing = BrokerReply(code: 404, text: "NOT_FOUND - no queue 'letters' in vhost '/'")
        let first = consumer.channelClosed(missing, now: .now)
        #expect(first == .redeclare)
        let second = consumer.channelClosed(missing, now: .now)
        #expect(second == .ended)
        let error = await #expect(throws: AMQPError.self) { try await stream.nextBatch() }
        #expect(error?.code == .notFound)
    }

    @Test func `A queue that the previous connection still holds exclusively is tried again later`() {
        var consumer = consumer(inStep: 4)
        _ = consumer.connectionLost()
        for _ in 0..<5 {
            let closing = consumer.channelClosed(BrokerReply(code: 405, text: "RESOURCE_LOCKED"), now: .now)
            #expect(closing == .retryLater)
        }
    }

    @Test func `A running consumer ends when the broker closes its channel`() async {
        var consumer = consumer(inStep: 4)
        let closing = consumer.channelClosed(
            BrokerReply(code: 406, text: "PRECONDITION_FAILED - delivery acknowledgement timed out"),
            now: .now
        )
        #expect(closing == .ended)
        let error = await #expect(throws: AMQPError.self) { try await stream.nextBatch() }
        #expect(error?.code == .channelClosed)
    }

    @Test func `A queue whose node is down is tried again after growing pauses`() {
        var consumer = consumer(inStep: 4)
        _ = consumer.connectionLost()
        let down = BrokerReply(
            code: 404,
            text: "NOT_FOUND - home node 'rabbit@b' of durable queue 'letters' in vhost '/' is down or inaccessible"
        )
        let now = ContinuousClock.now
        var pauses: [Duration] = []
        for _ in 1...8 {
            #expect(consumer.channelClosed(down, now: now) == .retryLater)
            pauses.append(now.duration(to: consumer.resumesAt ?? now))
        }
        #expect(pauses[0] <= .seconds(1) && pauses[0] >= .milliseconds(500))
        #expect(pauses[7] >= .seconds(15) && pauses[7] <= .seconds(30))
    }

    @Test func `A new consumer learns that its queue's node is down, and that it may try again`() async {
        var consumer = consumer(inStep: 3)
        let down = BrokerReply(
            code: 404,
            text: "NOT_FOUND - home node 'b' of durable queue 'q' is down or inaccessible"
        )
        #expect(consumer.channelClosed(down, now: .now) == .ended)
        let error = await #expect(throws: AMQPError.self) { try await stream.nextBatch() }
        #expect(error?.code == .unavailable)
        #expect(error?.isRetriable == true)
    }
}
