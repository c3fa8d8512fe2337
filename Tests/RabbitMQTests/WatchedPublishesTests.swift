import AMQP
import Testing

@testable import RabbitMQ

/// What the watchdog knows of publishes.
struct WatchedPublishesTests {
    private let start = ContinuousClock.now

    private func publish(deadlineIn seconds: Int) -> PendingPublish {
        PendingPublish(Message(body: []), to: .queue("q"), mandatory: true, deadline: start + .seconds(seconds))
    }

    @Test func `those whose deadlines have passed fail, with an outcome that is known if nothing was sent`() async {
        var watched = WatchedPublishes()
        let (sent, unsent, later) = (publish(deadlineIn: 1), publish(deadlineIn: 1), publish(deadlineIn: 5))
        sent.reply.mark()
        for publish in [sent, unsent, later] { watched.add(publish) }
        for late in watched.takeLate(at: start + .seconds(1)) { late.expire() }
        let unknown = await #expect(throws: AMQPError.self) { try await sent.outcome() }
        let known = await #expect(throws: AMQPError.self) { try await unsent.outcome() }
        #expect(unknown?.code == .confirmTimedOut)
        #expect(known?.code == .deadlineExceeded)
        #expect(!later.reply.isDone)
        #expect(!watched.isEmpty)
    }

    @Test func `those that are done are forgotten`() {
        var watched = WatchedPublishes()
        for _ in 0..<10_000 {
            let publish = publish(deadlineIn: 1)
            publish.reply.finish(.success(()))
            watched.add(publish)
        }
        watched.sweep()
        #expect(watched.isEmpty)
    }
}
