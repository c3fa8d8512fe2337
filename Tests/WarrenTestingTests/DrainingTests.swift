import Foundation
import TestSupport
import Testing
import Warren
import WarrenTesting

@Suite(.embeddedBroker, .timeLimit(.minutes(1))) struct DrainingTests {
    @Test func `Due jobs run, and so do the jobs that they enqueue`() async throws {
        let jobs = TestBench.current.jobs
        let seen = Recorder<Int>()
        try await jobs.enqueue(Count(number: 2))
        let counts = try await drainQueues {
            Handler(Count.self) { job, _ in
                seen.record(job.number)
                if job.number > 0 { try await jobs.enqueue(Count(number: job.number - 1)) }
            }
        }
        #expect(counts.succeeded == 3)
        #expect(await seen.next(3) == [2, 1, 0])
        try expectEnqueued(Count.self, count: 0)
    }

    @Test func `Years of delay pass at once, in the right order`() async throws {
        let bench = TestBench.current
        let start = bench.now
        let seen = Recorder<Int>()
        let times = Recorder<TimeInterval>()
        let delays = [1: 8 * 365 * 86_400, 2: 3_600, 3: 1, 4: 2]
        for (number, seconds) in delays.sorted(by: { $0.key < $1.key }) {
            try await bench.jobs.enqueue(Count(number: number), delay: .seconds(seconds))
        }
        try expectEnqueued(Count.self, count: 4)
        try await drainQueues {
            Handler(Count.self) { job, _ in
                seen.record(job.number)
                times.record(bench.now.timeIntervalSince(start))
            }
        }
        #expect(await seen.next(4) == [3, 4, 2, 1])
        let passed = await times.next(4)
        #expect(passed[0] == 1 && passed[1] == 2)
        #expect(passed[2] >= 3_600 && passed[2] < 3_600 * 33 / 32)
        #expect(passed[3] >= 8 * 365 * 86_400)
    }

    @Test func `A delay of a fraction of a second is kept too`() async throws {
        let bench = TestBench.current
        let start = bench.now
        let times = Recorder<TimeInterval>()
        try await bench.jobs.enqueue(Count(number: 1), delay: .milliseconds(2_500))
        try await drainQueues { Handler(Count.self) { _, _ in times.record(bench.now.timeIntervalSince(start)) } }
        #expect(await times.next(1) == [2.5])
    }

    @Test func `A drain for a time stops there, and leaves later jobs`() async throws {
        let bench = TestBench.current
        let start = bench.now
        for seconds in [1, 10, 100] { try await bench.jobs.enqueue(Count(number: seconds), delay: .seconds(seconds)) }
        let counts = try await drainQueues(for: .seconds(60)) { Handler(Count.self) { _, _ in } }
        #expect(counts.succeeded == 2)
        #expect(bench.now.timeIntervalSince(start) == 60)
        let left = try expectEnqueued(Count.self, count: 1) { $0.number == 100 }
        #expect(left.first?.dueAt == start.addingTimeInterval(100))
    }

    @Test func `Retries run too, until the job succeeds or is dead-lettered`() async throws {
        let jobs = TestBench.current.jobs
        try await jobs.enqueue(Count(number: 2), id: "third-time-lucky")
        try await jobs.enqueue(Count(number: 9), id: "never")
        let counts = try await drainQueues {
            Handler(Count.self) { job, context in
                if context.attempt <= job.number { throw Refused() }
            }
        }
        #expect(counts.retried == 2 + 3)
        #expect(counts.succeeded == 1)
        #expect(counts.dead == 1)
        let failure = try #require(deadLetters().first)
        #expect(failure.id == "never")
        #expect(failure.record.reason == .attemptsExhausted)
        #expect(failure.record.failures == 4)
    }

    @Test func `Jobs of several types and lanes are found by their payloads`() async throws {
        let jobs = TestBench.current.jobs
        try await jobs.enqueue(Count(number: 1), queue: "others")
        try await jobs.enqueue(Greet(name: "Ada"))
        try await jobs.enqueue(Greet(name: "Bob"), delay: .seconds(60))
        try expectEnqueued(Greet.self, count: 2)
        let ada = try expectEnqueued(Greet.self) { $0.name == "Ada" }
        #expect(ada.first?.dueAt == nil && ada.first?.queue == "greetings")
        let bob = try expectEnqueued(Greet.self) { $0.name == "Bob" }
        #expect(bob.first?.queue == "greetings" && bob.first?.dueAt == TestBench.current.now.addingTimeInterval(60))
        #expect(try TestBench.current.enqueued(Count.self).first?.queue == "others")
    }
}

struct Refused: Error {}

struct Count: Job {
    static let name = "tests.count"
    static let queue: QueueName = "counting"
    static let retry: RetryPolicy = .exponential(from: .seconds(1), to: .seconds(60), attempts: 4)

    var number: Int
}

struct Greet: Job {
    static let name = "tests.greet"
    static let queue: QueueName = "greetings"

    var name: String
}
