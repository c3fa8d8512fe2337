import AMQP
import EmbeddedBroker
import Foundation
import Logging
import TestSupport
import Testing
import Warren

/// A job that records the time of its run.
private struct Reminder: Job {
    static let name = "tests.reminder"
    static let queue: QueueName = "reminders"
    static let retry: RetryPolicy = .fixed(.seconds(10), attempts: 3)

    var text: String
}

private struct ReminderError: Error {}

@Suite(.timeLimit(.minutes(1))) struct JobsOnVirtualTimeTests {
    private let clock = VirtualClock()
    private let broker: EmbeddedBroker
    private let topology = Topology(queues: [QueueConfiguration("reminders")])
    private let client: JobClient
    private let runs = Recorder<(text: String, time: Duration)>()

    init() async throws {
        let clock = clock
        broker = EmbeddedBroker(clock: clock)
        client = JobClient(broker, topology: topology, clock: VirtualClock(), now: { clock.date })
        _ = try await topology.plan(broker: broker.version).apply(to: broker)
    }

    private func work(failing: Int = 0, _ body: () async throws -> Void) async throws {
        let clock = clock
        let runs = runs
        let handler = Handler(Reminder.self) { job, context in
            runs.record((job.text, clock.now.offset))
            if context.attempt <= failing { throw ReminderError() }
        }
        let worker = Worker(
            broker,
            queues: ["reminders"],
            topology: topology,
            settings: WorkerSettings(name: "tester"),
            logger: .quiet,
            clock: clock,
            now: { clock.date },
            handlers: { handler }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.run() }
            try await body()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    /// Lets tasks run until a queue has these numbers of ready messages and unsettled deliveries.
    private func until(_ queue: String, ready: Int, unsettled: Int = 0) async throws {
        try await TestSupport.until {
            broker.readyMessages(in: queue).count == ready && broker.unsettledCount(of: queue) == unsettled
        }
    }

    @Test func `A job due in eight years runs then, and one due earlier runs earlier`() async throws {
        let eightYears = Duration.seconds(8 * 365 * 86_400)
        try await client.enqueue(Reminder(text: "late"), delay: eightYears)
        try await client.enqueue(Reminder(text: "soon"), delay: .seconds(3))
        try await work {
            for _ in 1...3 { clock.advance(by: .seconds(1)) }
            let first = try #require(await runs.next(1).first)
            #expect(first == ("soon", .seconds(3)))
            try await until("reminders", ready: 0)
            // Long delays are rounded up by less than a 32nd. In a single step the consumer timeout would expire before
            // the job ran.
            let isDelivered = { broker.unsettledCount(of: "reminders") > 0 }
            #expect(clock.advance(by: eightYears / 32 * 33, until: isDelivered))
            let second = try #require(await runs.next(1).first)
            #expect(second.text == "late")
            #expect(second.time >= eightYears)
        }
    }

    @Test func `A failed job runs again when its retry is due, and not earlier`() async throws {
        try await client.enqueue(Reminder(text: "again"))
        try await work(failing: 2) {
            #expect(await runs.next(1).map(\.time) == [.zero])
            try await until("reminders", ready: 0)
            clock.advance(by: .seconds(9))
            clock.advance(by: .seconds(1))
            #expect(await runs.next(1).map(\.time) == [.seconds(10)])
            try await until("reminders", ready: 0)
            clock.advance(by: .seconds(10))
            #expect(await runs.next(1).map(\.time) == [.seconds(20)])
        }
        #expect(broker.readyMessages(in: "reminders.dead").isEmpty)
    }

    @Test func `A job without attempts left is dead-lettered, and can be replayed`() async throws {
        try await client.enqueue(Reminder(text: "hopeless"))
        try await work(failing: 3) {
            for _ in 1...3 {
                _ = await runs.next(1)
                try await until("reminders", ready: 0)
                clock.advance(by: .seconds(10))
            }
            try await until("reminders.dead", ready: 1)
        }
        let letters = DeadLetters(broker, topology: topology)
        #expect(try await letters.list(in: "reminders").count == 1)
        _ = try await letters.replay(from: "reminders")
        #expect(broker.readyMessages(in: "reminders").count == 1)
        #expect(broker.readyMessages(in: "reminders.dead").isEmpty)
    }
}
