import AMQP
import EmbeddedBroker
import Foundation
import Logging
import MetricsTestKit
import Synchronization
import Testing

@testable import Warren

@Suite struct MiddlewareTests {
    private final class Steps: Sendable {
        private let list = Mutex<[String]>([])
        func add(_ step: String) { list.withLock { $0.append(step) } }
        var all: [String] { list.withLock { $0 } }
    }

    private struct Recording: EnqueueMiddleware {
        var name: String
        var steps: Steps

        func enqueue(
            _ request: EnqueueRequest,
            next: (EnqueueRequest) async throws -> EnqueuedJob
        ) async throws -> EnqueuedJob {
            steps.add("\(name) before")
            var request = request
            request.headers["by"] = .string((request.headers["by"]?.stringValue ?? "") + name)
            let job = try await next(request)
            steps.add("\(name) after")
            return job
        }
    }

    private struct Refusing: EnqueueMiddleware {
        func enqueue(
            _ request: EnqueueRequest,
            next: (EnqueueRequest) async throws -> EnqueuedJob
        ) async throws -> EnqueuedJob {
            throw SampleError()
        }
    }

    private struct Moving: EnqueueMiddleware {
        func enqueue(
            _ request: EnqueueRequest,
            next: (EnqueueRequest) async throws -> EnqueuedJob
        ) async throws -> EnqueuedJob {
            var request = request
            request.queue = "elsewhere"
            request.dueAt = noon + 5
            request.parentID = "the-parent"
            request.rootID = "the-root"
            return try await next(request)
        }
    }

    @Test func `The first middleware of a client is the outermost, and each can change the request`() async throws {
        let steps = Steps()
        let transport = FaultyBroker()
        let client = JobClient(
            transport,
            middleware: [Recording(name: "a", steps: steps), Recording(name: "b", steps: steps)],
            clock: VirtualClock(),
            now: { noon }
        )
        try await client.enqueue(SendEmail(to: "a", subject: "b"))
        #expect(steps.all == ["a before", "b before", "b after", "a after"])
        #expect(transport.published.first?.message.properties.headers?["by"] == "ab")
    }

    @Test func `If a middleware throws, the job is not sent`() async throws {
        let transport = FaultyBroker()
        let client = JobClient(transport, middleware: [Refusing()], clock: VirtualClock(), now: { noon })
        await #expect(throws: SampleError.self) { try await client.enqueue(Tidy(), lane: .normal) }
        #expect(transport.published.isEmpty)
        #expect(transport.requests.exchanges.isEmpty)
    }

    @Test func `A middleware can change a job's queue and due time`() async throws {
        let transport = FaultyBroker()
        let client = JobClient(transport, middleware: [Moving()], clock: VirtualClock(), now: { noon })
        let handle = try await client.enqueue(SendEmail(to: "a", subject: "b"))
        #expect(handle.queue == "elsewhere")
        let published = try #require(transport.published.first)
        #expect(published.destination == DelayLadder.route(.seconds(5), to: "elsewhere"))
        #expect(published.message.properties.headers?["parent_id"] == "the-parent")
        #expect(published.message.properties.headers?["root_id"] == "the-root")
    }

    @Test func `Failure and outcome are logged, with the job's name and without its payload`() async throws {
        let steps = Steps()
        var logger = Logger(label: "test") { _ in RecordingLogHandler { steps.add($0) } }
        logger.logLevel = .debug
        let context = try context(logger: logger)
        let layer = LoggingMiddleware()
        await #expect(throws: SampleError.self) { try await layer.execute(context) { _ in throw SampleError() } }
        layer.settled(context, outcome: .retry(after: .seconds(2)))
        #expect(steps.all.count == 3)
        #expect(steps.all[0].contains("Job started"))
        #expect(steps.all[1].contains("it did not work") && steps.all[1].hasPrefix("debug"))
        #expect(steps.all[2].contains("retried") && steps.all[2].hasPrefix("info"))
        #expect(steps.all.allSatisfy { $0.contains("emails.send") && !$0.contains("secret") })
    }

    @Test func `Nothing is logged below the logger's level`() async throws {
        let steps = Steps()
        var logger = Logger(label: "test") { _ in RecordingLogHandler { steps.add($0) } }
        logger.logLevel = .error
        let context = try context(logger: logger)
        try await LoggingMiddleware().execute(context) { _ in }
        LoggingMiddleware().settled(context, outcome: .dead(.permanent))
        #expect(steps.all.isEmpty)
    }

    @Test func `Metrics count each outcome by job and queue, and time each attempt`() async throws {
        let metrics = TestMetrics()
        let layer = MetricsMiddleware(factory: metrics)
        let context = try context(logger: Logger(label: "test"))
        for _ in 0..<3 {
            try await layer.execute(context) { _ in }
            layer.settled(context, outcome: .succeeded)
        }
        layer.settled(context, outcome: .dead(.permanent))
        let job = [("job", "emails.send"), ("queue", "emails")]
        #expect(try metrics.expectCounter("warren_jobs_total", job + [("outcome", "succeeded")]).values == [1, 1, 1])
        #expect(try metrics.expectCounter("warren_jobs_total", job + [("outcome", "dead")]).values == [1])
        #expect(try metrics.expectTimer("warren_job_duration_seconds", job).values.count == 3)
    }

    @Test func `Metrics count the jobs that a client sent`() async throws {
        let metrics = TestMetrics()
        let client = JobClient(
            FaultyBroker(),
            middleware: [MetricsMiddleware(factory: metrics)],
            clock: VirtualClock(),
            now: { noon }
        )
        try await client.enqueue(SendEmail(to: "a", subject: "b"))
        let job = [("job", "emails.send"), ("queue", "emails")]
        #expect(try metrics.expectCounter("warren_jobs_enqueued_total", job).values == [1])
    }

    @Test func `The number of metrics is bounded, however many names messages have`() throws {
        let metrics = TestMetrics()
        let layer = MetricsMiddleware(factory: metrics)
        for number in 0..<1_500 {
            layer.settled(try context(name: "made-up-\(number)", logger: Logger(label: "test")), outcome: .parked)
        }
        #expect(metrics.counters.count == 1_001)
        let other = [("job", "other"), ("queue", "emails"), ("outcome", "parked")]
        #expect(try metrics.expectCounter("warren_jobs_total", other).values.count == 500)
    }

    private func context(name: String = "emails.send", logger: Logger) throws -> JobContext {
        let message = try Envelope(encoding: SendEmail(to: "secret", subject: "secret"), now: noon).message
        let envelope = Envelope(id: "i", name: name, retries: 0, eta: nil, expires: nil, message: message)
        return JobContext(envelope: envelope, queue: "emails", worker: "w", logger: logger)
    }
}

private struct RecordingLogHandler: LogHandler {
    var record: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    init(_ record: @escaping @Sendable (String) -> Void) { self.record = record }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { record("\(event.level) \(event.message) \(event.metadata ?? [:])") }
}
