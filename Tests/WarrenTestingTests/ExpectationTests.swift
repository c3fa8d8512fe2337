import AMQP
import EmbeddedBroker
import TestSupport
import Testing
import Warren
import WarrenTesting

@Suite(.timeLimit(.minutes(1))) struct ExpectationTests {
    @Test(.embeddedBroker) func `A failed expectation lists the enqueued jobs`() async throws {
        try await TestBench.current.jobs.enqueue(Greet(name: "Ada"))
        try withKnownIssue {
            try expectEnqueued(Count.self)
        } matching: { issue in
            issue.comments.contains { $0.rawValue.contains("1 × 'tests.greet'") }
        }
        withKnownIssue { try expectEnqueued(Greet.self, count: 0) }
        withKnownIssue { try expectEnqueued(Greet.self) { $0.name == "Bob" } }
    }

    @Test(.embeddedBroker) func `A job runs inline through the middleware, and its error is returned`() async throws {
        let wrapped = Recorder<String>()
        let middleware = Wrapping(recorder: wrapped)
        let good = try await performJob(Greet(name: "Ada"), middleware: [middleware]) {
            Handler(Greet.self) { job, context in
                #expect(job.name == "Ada")
                #expect(context.attempt == 1)
            }
        }
        #expect(good.outcome == .succeeded)
        try good.get()
        #expect(await wrapped.next(2) == ["before tests.greet", "after tests.greet"])
        let bad = try await performJob(Count(number: 1), attempt: 2) {
            Handler(Count.self) { _, context in
                #expect(context.attempt == 2 && context.retriesLeft == 2)
                throw Refused()
            }
        }
        #expect(bad.outcome.retryDelay != nil)
        #expect(throws: Refused.self) { try bad.get() }
        // It has enqueued nothing.
        try expectEnqueued(Greet.self, count: 0)
        let unknown = await #expect(throws: WarrenError.self) {
            try await performJob(Greet(name: "Ada")) { Handler(Count.self) { _, _ in } }
        }
        #expect(unknown?.code == .invalidConfiguration)
    }

    @Test(.embeddedBroker) func `Each test has its own broker`() async throws {
        #expect(TestBench.current.broker.queueNames == [])
    }

    @Test func `Anything that a test leaves open is a leak`() async throws {
        let bench = TestBench()
        try await bench.jobs.enqueue(Greet(name: "Ada"))
        #expect(bench.leaks() == [])
        let delivery = try #require(try await bench.broker.get(queue: "greetings"))
        let stream = try await bench.broker.consume(queue: "greetings", prefetch: 1)
        #expect(bench.leaks().map(\.description).first?.contains("1 consumer(s) and 1 unsettled") == true)
        delivery.ack()
        await stream.cancel(requeuesUnsettled: true)
        #expect(bench.leaks() == [])
    }

    @Test(.embeddedBroker(topology: Topology(queues: [QueueConfiguration("greetings", lanes: [.high, .normal])])))
    func `The application's own topology applies`() async throws {
        try await TestBench.current.jobs.enqueue(Greet(name: "Ada"), lane: .high)
        #expect(try expectEnqueued(Greet.self).first?.lane == .high)
        #expect(try await drainQueues { Handler(Greet.self) { _, _ in } }.succeeded == 1)
    }
}

private struct Wrapping: JobMiddleware {
    let recorder: Recorder<String>

    func execute(_ context: JobContext, next: (JobContext) async throws -> Void) async throws {
        recorder.record("before \(context.name)")
        try await next(context)
        recorder.record("after \(context.name)")
    }
}
