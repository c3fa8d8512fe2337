import AMQP
import EmbeddedBroker
import Testing

@Suite(.timeLimit(.minutes(1))) struct AlarmTests {
    private let harness = BrokerHarness()
    private var broker: EmbeddedBroker { harness.broker }

    @Test func `While an alarm is on, publishes fail at their deadlines with its reason, and consuming goes on`()
        async throws
    {
        try await harness.declare("q")
        try await harness.publish("A", to: "q")
        broker.setAlarm(.memory)
        #expect(broker.health.publishing == .blocked(reason: "low on memory") && broker.health.consuming == .open)
        let error = await amqpError {
            try await broker.publish(Message(body: []), to: .queue("q"), deadline: .now + .milliseconds(20))
        }
        #expect(error?.code == .blocked && error?.message.contains("low on memory") == true)
        try await harness.get(1, from: "q")[0].ack()
    }

    @Test func `A waiting publish goes on when the last alarm ends`() async throws {
        try await harness.declare("q")
        broker.setAlarm(.memory)
        broker.setAlarm(.disk)
        async let published: Void = harness.publish("A", to: "q")
        broker.clearAlarm(.memory)
        #expect(broker.health.publishing == .blocked(reason: "low on disk"))
        broker.clearAlarm()
        try await published
        #expect(harness.ready("q") == ["A"] && broker.health.publishing == .open)
    }

    @Test func `A publish whose deadline has passed is not sent`() async throws {
        try await harness.declare("q")
        let error = await amqpError { try await broker.publish(Message(body: []), to: .queue("q"), deadline: .now) }
        #expect(error?.code == .deadlineExceeded)
        #expect(harness.ready("q").isEmpty)
    }
}
