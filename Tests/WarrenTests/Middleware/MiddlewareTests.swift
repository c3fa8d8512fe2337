import AMQP
import EmbeddedBroker
import Foundation
import Logging
import Metrics
import Synchronization
import Testing

@testable import Warren

@Suite struct MiddlewareTests {
    private final class Steps: Sendable {
        private let list = Mutex<[String]>([])
        func add(_ step: String) { list.withLock { $0.append(step) } }
        var all: [String] { list.withLock { $0 } }
    }

    private struct Noting: EnqueueMiddleware {
        var name: String
        var steps: Steps

        func enqueue(
            _ request: EnqueueRequest,
            next: (EnqueueRequest) async throws -> EnqueuedJob
        ) async throws -> EnqueuedJob {
            steps.add("\(name) before")
            var request = request
            request.headers["by"] = .string((request.headers["by"]?.stringValue ?? "") + name)
            let handle = try await next(request)
            steps.add("\(name) after")
            return handle
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

    @Test("The first middleware of a client is the outermost, and each can change the request")
    func order() async throws {
        let steps = Steps()
        let transport = FaultyBroker()
        let client = JobClient(
            transport,
            middleware: [Noting(name: "a", steps: steps), Noting(name: "b", steps: steps)],
            clock: VirtualClock(),
            now: { noon }
        )
        try await client.enqueue(SendEmail(to: "a", subject: "b"))
        #expect(steps.all == ["a before", "b before", "b after", "a after"])
        #expect(transport.published.first?.message.properties.headers?["by"] == "ab")
    }

    @Test("A middleware that throws keeps the job from being sent")
    func refusing() async throws {
        let transport = FaultyBroker()
        let client = JobClient(transport, middleware: [Refusing()], clock: VirtualClock(), now: { noon })
        await #expect(throws: SampleError.self) { try await client.enqueue(Tidy(), lane: .normal) }
        #expect(transport.published.isEmpty)
        #expect(transport.requests.exchanges.isEmpty)
    }

    @Test("A middleware can change where and when a job goes")
    func moving() async throws {
        let transport = FaultyBroker()
        let client = JobClient(transport, middleware: [Moving()], clock: VirtualClock(), now: { noon })
        let handle = try await client.enqueue(SendEmail(to: "a", subject: "b"))
        #expect(handle.queue == "elsewhere")
        let published = try #require(transport.published.first)
        #expect(published.destination == DelayLadder.route(.seconds(5), to: "elsewhere"))
        #expect(published.message.properties.headers?["parent_id"] == "the-parent")
        #expect(published.message.properties.headers?["root_id"] == "the-root")
    }

    @Test("Logging tells of failure and outcome, with the job's name and no payload")
    func logging() async throws {
        let steps = Steps()
        var logger = Logger(label: "test") { _ in NotingLogHandler { steps.add($0) } }
        logger.logLevel = .debug
        let context = try context(logger: logger)
        let layer = LoggingMiddleware()
        await #expect(throws: SampleError.self) { try await layer.execute(context) { _ in throw SampleError() } }
        layer.settled(context, outcome: .retry(after: .seconds(2)))
        #expect(steps.all.count == 3)
        #expect(steps.all[0].contains("Job started"))
        #expect(steps.all[1].contains("it did not work") && steps.all[1].hasPrefix("warning"))
        #expect(steps.all[2].contains("retried") && steps.all[2].hasPrefix("info"))
        #expect(steps.all.allSatisfy { $0.contains("emails.send") && !$0.contains("secret") })
    }

    @Test("Logging says nothing below the logger's level")
    func quiet() async throws {
        let steps = Steps()
        var logger = Logger(label: "test") { _ in NotingLogHandler { steps.add($0) } }
        logger.logLevel = .error
        let context = try context(logger: logger)
        try await LoggingMiddleware().execute(context) { _ in }
        LoggingMiddleware().settled(context, outcome: .dead(.permanent))
        #expect(steps.all.isEmpty)
    }

    @Test("Metrics count each outcome by job and queue, and time each run")
    func metrics() async throws {
        let factory = NotingMetrics()
        let layer = MetricsMiddleware(factory: factory)
        let context = try context(logger: Logger(label: "test"))
        for _ in 0..<3 {
            try await layer.execute(context) { _ in }
            layer.settled(context, outcome: .succeeded)
        }
        layer.settled(context, outcome: .dead(.permanent))
        #expect(factory.counts["warren_jobs_total job=emails.send queue=emails outcome=succeeded"] == 3)
        #expect(factory.counts["warren_jobs_total job=emails.send queue=emails outcome=dead"] == 1)
        #expect(factory.counts["warren_job_duration_seconds job=emails.send queue=emails"] == 3)
    }

    @Test("Metrics count jobs that a client sent")
    func enqueueMetrics() async throws {
        let factory = NotingMetrics()
        let client = JobClient(
            FaultyBroker(),
            middleware: [MetricsMiddleware(factory: factory)],
            clock: VirtualClock(),
            now: { noon }
        )
        try await client.enqueue(SendEmail(to: "a", subject: "b"))
        #expect(factory.counts["warren_jobs_enqueued_total job=emails.send queue=emails"] == 1)
    }

    @Test("Names that messages make up don't make metrics without end")
    func boundedMetrics() throws {
        let factory = NotingMetrics()
        let layer = MetricsMiddleware(factory: factory)
        for number in 0..<1_500 {
            layer.settled(try context(name: "made-up-\(number)", logger: Logger(label: "test")), outcome: .parked)
        }
        #expect(factory.counts.count == 1_001)
        #expect(factory.counts["warren_jobs_total job=other queue=emails outcome=parked"] == 500)
    }

    private func context(name: String = "emails.send", logger: Logger) throws -> JobContext {
        let message = try Envelope(encoding: SendEmail(to: "secret", subject: "secret"), now: noon).message
        let envelope = Envelope(id: "i", name: name, retries: 0, eta: nil, expires: nil, message: message)
        return JobContext(envelope: envelope, queue: "emails", worker: "w", logger: logger)
    }
}

private struct NotingLogHandler: LogHandler {
    var note: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    init(_ note: @escaping @Sendable (String) -> Void) { self.note = note }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { note("\(event.level) \(event.message) \(event.metadata ?? [:])") }
}

private final class NotingMetrics: MetricsFactory {
    private let values = Mutex<[String: Int]>([:])
    var counts: [String: Int] { values.withLock { $0 } }

    fileprivate func add(_ label: String, _ dimensions: [(String, String)]) {
        let key = ([label] + dimensions.map { "\($0)=\($1)" }).joined(separator: " ")
        values.withLock { $0[key, default: 0] += 1 }
    }
}

extension NotingMetrics {
    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        CounterNote { self.add(label, dimensions) }
    }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        RecorderNote()
    }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        TimerNote { self.add(label, dimensions) }
    }
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}
}

private final class CounterNote: CounterHandler {
    let add: @Sendable () -> Void
    init(_ add: @escaping @Sendable () -> Void) { self.add = add }
    func increment(by amount: Int64) { add() }
    func reset() {}
}

private final class TimerNote: TimerHandler {
    let add: @Sendable () -> Void
    init(_ add: @escaping @Sendable () -> Void) { self.add = add }
    func recordNanoseconds(_ duration: Int64) { add() }
}

private final class RecorderNote: RecorderHandler {
    func record(_ value: Int64) {}
    func record(_ value: Double) {}
}
