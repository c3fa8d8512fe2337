import AMQP
import EmbeddedBroker
import Foundation
import TestSupport
import Testing

@testable import Warren

/// A job with both limits.
struct Limited: Job {
    static let name = "tests.limited"
    static let queue: QueueName = "probes"
    static let retry: RetryPolicy = .fixed(.seconds(2), attempts: 3)
    static let timeLimits = TimeLimits(soft: .seconds(10), hard: .seconds(20))
}

@Suite(.timeLimit(.minutes(1))) struct TimeLimitTests {
    @Test func `At the soft limit the handler is cancelled, and the attempt has failed`() async throws {
        let (harness, recorder) = (try await WorkerHarness(), Recorder<Int>())
        let worker = harness.worker {
            Handler(Limited.self) { _, _ in
                recorder.record(1)
                await Latch().wait()
                throw CancellationError()
            }
        }
        try await publish(Limited(), on: harness)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == [1])
            try await harness.untilQuiet()
            harness.clock.advance(by: .seconds(10))
            try await until { harness.acknowledged == 1 }
        }
        #expect(worker.counts.retried == 1)
        let headers = try #require(harness.broker.published.last?.message.properties.headers)
        #expect(headers[EnvelopeHeader.retries] == 1)
        let failure = try #require(FailureRecord(headers: headers).history.last)
        #expect(failure.errorType?.contains("JobTimeLimitExceeded") == true)
    }

    @Test func `A handler that returns despite its soft limit has succeeded`() async throws {
        let (harness, recorder) = (try await WorkerHarness(), Recorder<Int>())
        let worker = harness.worker {
            Handler(Limited.self) { _, _ in
                recorder.record(1)
                await Latch().wait()
            }
        }
        try await publish(Limited(), on: harness)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == [1])
            try await harness.untilQuiet()
            harness.clock.advance(by: .seconds(10))
            try await until { harness.acknowledged == 1 }
        }
        #expect(worker.counts.succeeded == 1)
    }

    @Test func `A job that finishes in time isn't affected by its limits`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handler(Limited.self) { _, _ in } }
        try await publish(Limited(), on: harness)
        try await harness.run(worker) { try await until { harness.acknowledged == 1 } }
        #expect(worker.counts.succeeded == 1)
    }

    @Test func `Shutdown before the soft limit requeues the job and counts no failure`() async throws {
        let (harness, recorder) = (try await WorkerHarness(), Recorder<Int>())
        let worker = harness.worker {
            Handler(Limited.self) { _, _ in
                recorder.record(1)
                await Latch().wait()
                throw CancellationError()
            }
        }
        try await publish(Limited(), on: harness)
        try await harness.run(worker) { #expect(await recorder.next(1) == [1]) }
        #expect(worker.counts.requeued == 1)
        #expect(worker.counts.retried == 0)
    }

    @Test
    func `At the hard limit the job has failed, the others are requeued, and the worker ends without the handler`()
        async throws
    {
        let (harness, recorder, never) = (try await WorkerHarness(), Recorder<Int>(), Gate())
        let worker = harness.worker {
            Handler(Limited.self) { _, _ in
                recorder.record(1)
                await never.wait()
                recorder.record(2)
            }
        }
        let id = try await publish(Limited(), on: harness)
        try await publish(Limited(), on: harness)
        let error = await #expect(throws: WarrenError.self) {
            try await harness.run(worker) {
                #expect(await recorder.next(1) == [1])
                try await harness.untilQuiet()
                harness.clock.advance(by: .seconds(20))
                try await until { worker.health().phase == .failed }
            }
        }
        #expect(error?.code == .hardTimeLimit)
        #expect(error?.message.contains(id) == true)
        #expect(error?.message.contains("20") == true)
        #expect(worker.counts.retried == 1)
        #expect(worker.counts.requeued == 1)
        #expect(harness.unsettled == 0)
        #expect(harness.acknowledged == 1)
        // When it returns after all, nothing is settled a second time.
        never.open()
        #expect(await recorder.next(1) == [2])
        #expect(harness.acknowledged == 1)
        #expect(harness.broker.published.count == 1)
    }

    @Test func `Beside a job past its hard limit, the others may run until the shutdown deadline`() async throws {
        let (harness, recorder) = (try await WorkerHarness(), Recorder<String>())
        let (gate, never) = (Gate(), Gate())
        let worker = harness.worker(concurrency: 2) {
            Handler(Limited.self) { _, _ in
                recorder.record("limited")
                await never.wait()
            }
            Handler(Probe.self) { _, _ in
                recorder.record("probe")
                await gate.wait()
            }
        }
        try await publish(Limited(), on: harness)
        try await harness.enqueue(1)
        await #expect(throws: WarrenError.self) {
            try await harness.run(worker) {
                #expect(Set(await recorder.next(2)) == ["limited", "probe"])
                try await harness.untilQuiet()
                harness.clock.advance(by: .seconds(20))
                try await until { harness.acknowledged == 1 }
                // The worker stops, and waits for the other.
                try await until { worker.health().phase == .stopping }
                gate.open()
                try await until { worker.health().phase == .failed }
            }
        }
        #expect(worker.counts.succeeded == 1)
        never.open()
    }

    @Test func `A message's soft and hard limits each override its type's`() {
        let type = TimeLimits(soft: .seconds(10), hard: .seconds(20))
        #expect(type.replaced(by: .none) == type)
        #expect(type.replaced(by: TimeLimits(soft: .seconds(5))) == TimeLimits(soft: .seconds(5), hard: .seconds(20)))
        #expect(type.replaced(by: TimeLimits(hard: .seconds(9))) == TimeLimits(hard: .seconds(9)))
    }

    @Test func `Limits are sent in Celery's form`() async throws {
        let limits = TimeLimits(soft: .milliseconds(1_500), hard: .seconds(60))
        #expect(limits.wire == .array([.int32(60), .double(1.5)]))
        let envelope = try Envelope(encoding: Probe(number: 1), timeLimits: limits, now: noon)
        #expect(try Envelope(decoding: envelope.message).timeLimits == limits)
        #expect(TimeLimits(wire: .array([.double(0.5), .void])) == TimeLimits(hard: .milliseconds(500)))
        #expect(TimeLimits(wire: .array([.void, .int32(0)])) == .none)
        #expect(TimeLimits(wire: .void) == .none)
        #expect(TimeLimits(wire: nil) == .none)
        #expect(TimeLimits(wire: .array([.double(.infinity), .void])).hard == .seconds(1e9))
    }

    @Test(
        arguments: [
            .array([]), .array([.int32(1)]), .array([.int32(-1), .void]), .array(["1", .void]), .int32(5),
            .array([.double(.nan), .void]),
        ] as [FieldValue]
    )
    func `An unreadable limit counts as none`(value: FieldValue) {
        #expect(TimeLimits(wire: value) == .none)
    }

    @Test(arguments: [
        TimeLimits(soft: .zero), TimeLimits(hard: .seconds(-1)), TimeLimits(soft: .seconds(2), hard: .seconds(2)),
    ])
    func `Invalid limits are refused when a job is enqueued`(limits: TimeLimits) async throws {
        let harness = try await WorkerHarness()
        let jobs = JobClient(harness.broker, topology: harness.topology, clock: VirtualClock())
        let error = await #expect(throws: WarrenError.self) {
            try await jobs.enqueue(Probe(number: 1), timeLimits: limits)
        }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains("tests.probe") == true)
    }

    @Test func `A job that may run longer than the broker waits is refused at the start`() async throws {
        let harness = try await WorkerHarness()
        let settings = WorkerSettings(name: "tester", consumerTimeout: .seconds(20))
        let worker = harness.worker(settings: settings) { Handler(Limited.self) { _, _ in } }
        let error = await #expect(throws: WarrenError.self) { try await worker.run() }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains("--consumer-timeout") == true)
    }

    @discardableResult
    private func publish(_ job: some Job, on harness: WorkerHarness) async throws -> String {
        let envelope = try Envelope(encoding: job, now: harness.now)
        try await harness.publish(envelope.message)
        return envelope.id
    }
}
