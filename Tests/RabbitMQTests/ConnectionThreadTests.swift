import AMQP
import TestSupport
import Testing

@testable import RabbitMQ

@Suite(.timeLimit(.minutes(1))) struct ConnectionThreadTests {
    /// A weak reference to a thread.
    private struct WeakReference {
        weak var thread: ConnectionThread?
    }

    @Test func `A thread that has ended is released, with its pipe, although the watchdog watched it`() async throws {
        let reference = try Self.endedThread()
        try await until { reference.thread == nil }
    }

    private static func endedThread() throws -> WeakReference {
        let thread = try ConnectionThread(callTimeout: .seconds(30))
        thread.begin(expiry: { _ in }, { _, _ in ConnectionThread.SleepPlan() })
        // From here on it is watched.
        thread.post(
            PendingPublish(
                Message(body: []),
                properties: [],
                to: .queue("nobody's"),
                mandatory: false,
                deadline: .now + .seconds(30)
            )
        )
        thread.stop()
        return WeakReference(thread: thread)
    }
}
