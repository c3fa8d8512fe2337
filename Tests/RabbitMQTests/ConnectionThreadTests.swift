import AMQP
import TestSupport
import Testing

@testable import RabbitMQ

@Suite(.timeLimit(.minutes(1))) struct ConnectionThreadTests {
    /// Looks at a thread without keeping it.
    private struct Sight {
        weak var thread: ConnectionThread?
    }

    @Test func `A thread that has ended is let go, with its pipe, although the watchdog looked after it`() async throws
    {
        let sight = try Self.endedThread()
        try await until { sight.thread == nil }
    }

    private static func endedThread() throws -> Sight {
        let thread = try ConnectionThread(callTimeout: .seconds(30))
        thread.begin(expiry: { _ in }, { _, _ in ConnectionThread.SleepPlan() })
        // From here on it is watched.
        thread.post(
            PendingPublish(Message(body: []), to: .queue("nobody's"), mandatory: false, deadline: .now + .seconds(30))
        )
        thread.stop()
        return Sight(thread: thread)
    }
}
