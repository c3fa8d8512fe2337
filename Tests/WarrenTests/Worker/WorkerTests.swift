import AMQP
import EmbeddedBroker
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct WorkerTests {
    @Test func `A job that succeeds is acknowledged and nothing else is published`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let worker = harness.worker { Handler(Probe.self) { job, _ in recorder.record(job.number) } }
        try await harness.enqueue(7)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == [7])
            try await until { harness.acknowledged == 1 }
        }
        #expect(worker.counts.succeeded == 1)
        #expect(harness.broker.published.isEmpty)
        #expect(harness.unsettled == 0)
    }

    @Test func `A failed job returns through the ladder with its id and its attempt count`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<String>()
        let worker = harness.worker {
            Handler(Probe.self) { _, context in
                recorder.record("\(context.id) \(context.attempt) \(context.retriesLeft)")
                if context.attempt < 3 { throw ProbeError() }
            }
        }
        let id = try await harness.enqueue()
        try await harness.run(worker) {
            for attempt in 1...2 {
                #expect(await recorder.next(1) == ["\(id) \(attempt) \(3 - attempt)"])
                try await until {
                    harness.ready("warren.delay.v1.level-01").count == 1 && harness.acknowledged == attempt
                }
                #expect(harness.unsettled == 0)
                harness.clock.advance(by: .milliseconds(1_999))
                #expect(harness.ready("warren.delay.v1.level-01").count == 1)
                harness.clock.advance(by: .milliseconds(1))
            }
            #expect(await recorder.next(1) == ["\(id) 3 0"])
            try await until { harness.acknowledged == 3 }
        }
        #expect(worker.counts.retried == 2)
        #expect(worker.counts.succeeded == 1)
        #expect(harness.deadLetters.isEmpty)
    }

    @Test func `After its last attempt a job is dead-lettered with a record of the reason and origin`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handler(Probe.self) { _, _ in throw ProbeError() } }
        let envelope = try Envelope(encoding: Probe(number: 1), now: harness.now)
        var message = envelope.message
        message.properties.headers?[EnvelopeHeader.retries] = 2
        try await harness.publish(message)
        try await harness.run(worker) {
            try await until { harness.deadLetters.count == 1 && harness.acknowledged == 1 }
        }
        let letter = try #require(harness.deadLetters.first)
        #expect(letter.id == envelope.id)
        #expect(letter.record.reason == .attemptsExhausted)
        #expect(letter.record.errorType?.contains("ProbeError") == true)
        #expect(letter.record.history.map(\.attempt) == [3])
        #expect(letter.record.history.map(\.worker) == ["tester"])
        #expect(letter.record.originalExchange == "warren")
        #expect(letter.record.originalRoutingKey == "probes")
        #expect(letter.message.body == message.body)
    }

    @Test func `A permanent failure is dead-lettered at the first attempt`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handler(Probe.self) { _, _ in throw JobFailure.permanent("No such user.") } }
        try await harness.enqueue()
        try await harness.run(worker) { try await until { harness.deadLetters.count == 1 } }
        let letter = try #require(harness.deadLetters.first)
        #expect(letter.record.reason == .permanent)
    }

    @Test func `An unreadable message is dead-lettered unchanged, with the reason`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handler(Probe.self) { _, _ in } }
        try await harness.publish(Message(body: [1, 2, 3]))
        var wrongType = try Envelope(encoding: Probe(number: 1), now: harness.now).message
        wrongType.body = Array(#"[[], {"number": "one"}, {}]"#.utf8)
        try await harness.publish(wrongType)
        try await harness.run(worker) {
            try await until { harness.deadLetters.count == 2 && harness.acknowledged == 2 }
        }
        let letters = harness.deadLetters
        #expect(letters.map(\.message.body) == [[1, 2, 3], wrongType.body])
        #expect(letters.map(\.record.reason?.rawValue) == ["missing-task", "payload-mismatch"])
        #expect(letters.allSatisfy { $0.record.history.isEmpty })
    }

    @Test func `A retry in less than a second skips the ladder and waits outside the slots`() async throws {
        struct Quick: Job {
            static let name = "tests.quick"
            static let queue: QueueName = "probes"
            static let retry: RetryPolicy = .fixed(.milliseconds(500), attempts: 2)
        }
        let harness = try await WorkerHarness()
        let recorder = Recorder<String>()
        let worker = harness.worker {
            Handler(Quick.self) { _, context in
                recorder.record("quick \(context.attempt)")
                if context.attempt == 1 { throw ProbeError() }
            }
            Handler(Probe.self) { _, _ in recorder.record("probe") }
        }
        try await harness.publish(Envelope(encoding: Quick(), now: harness.now).message)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == ["quick 1"])
            try await until { harness.acknowledged == 1 && harness.unsettled == 1 }
            // The delayed job waits, and the only slot is free.
            try await harness.untilQuiet()
            try await harness.enqueue()
            #expect(await recorder.next(1) == ["probe"])
            harness.clock.advance(by: .milliseconds(501))
            #expect(await recorder.next(1) == ["quick 2"])
        }
        #expect(harness.broker.published.map(\.destination.exchange) == ["warren"])
    }

    @Test func `A job that isn't due soon goes to the ladder without being run`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handler(Probe.self) { _, _ in Issue.record("It ran.") } }
        var message = try Envelope(encoding: Probe(number: 1), eta: harness.now + 100.5, now: harness.now).message
        message.properties.expiration = "1000"
        try await harness.publish(message)
        try await harness.run(worker) {
            try await until { harness.ready("warren.delay.v1.level-06").count == 1 && harness.acknowledged == 1 }
        }
        #expect(worker.counts.postponed == 1)
        let sent = try #require(harness.ready("warren.delay.v1.level-06").first)
        #expect(sent.properties.expiration == nil)
        #expect(sent.properties.headers?[EnvelopeHeader.retries] == 0)
    }

    @Test func `An expired job isn't run: it is dead-lettered, or dropped if its kind says so`() async throws {
        struct Fleeting: Job {
            static let name = "tests.fleeting"
            static let queue: QueueName = "probes"
            static let expiryPolicy: ExpiryPolicy = .discard
        }
        let harness = try await WorkerHarness()
        let worker = harness.worker {
            Handler(Probe.self) { _, _ in Issue.record("It ran.") }
            Handler(Fleeting.self) { _, _ in Issue.record("It ran.") }
        }
        try await harness.enqueue(expires: harness.now - 1)
        try await harness.publish(Envelope(encoding: Fleeting(), expires: harness.now - 1, now: harness.now).message)
        try await harness.run(worker) { try await until { harness.acknowledged == 2 } }
        #expect(harness.deadLetters.map(\.record.reason) == [.expired])
        #expect(worker.counts.expired == 1)
    }

    @Test func `A job of an unknown name is parked, and a worker with a handler unparks and runs it`() async throws {
        let harness = try await WorkerHarness()
        let id = try await harness.enqueue()
        let ignorant = harness.worker {}
        try await harness.run(ignorant) {
            try await until { harness.ready("probes.parked").count == 1 && harness.acknowledged == 1 }
        }
        #expect(ignorant.counts.parked == 1)

        let recorder = Recorder<String>()
        let worker = harness.worker {
            Handler(Probe.self) { _, context in recorder.record("\(context.id) \(context.attempt)") }
        }
        try await harness.run(worker) {
            #expect(await recorder.next(1) == ["\(id) 1"])
            try await until { harness.unsettled == 0 && harness.ready("probes.parked").isEmpty }
        }
        let headers = try #require(harness.broker.published.last).message.properties.headers
        #expect(headers?[EnvelopeHeader.originalExchange] == nil)
        #expect(headers?[EnvelopeHeader.parkedAt] == nil)
    }

    @Test func `A worker leaves jobs parked for which it has no handler either`() async throws {
        let harness = try await WorkerHarness()
        let message = try Envelope(encoding: Probe(number: 1), now: harness.now).message
        try await harness.broker.embedded.publish(message, to: .queue("probes.parked"))
        try await harness.run(harness.worker {}) { try await until { harness.requeued == 1 } }
        #expect(harness.ready("probes.parked").count == 1)
    }

    @Test func `If the parking-lot queue is full, an unknown job is dead-lettered`() async throws {
        let harness = try await WorkerHarness()
        try await harness.enqueue()
        harness.broker.fail { $0.publishing.next = [AMQPError(.nacked, "Full.")] }
        try await harness.run(harness.worker {}) { try await until { harness.acknowledged == 1 } }
        #expect(harness.deadLetters.map(\.record.reason) == [.unknownName])
    }

    @Test func `Middleware wraps the handler in its order, and gets the outcome`() async throws {
        struct Layer: JobMiddleware {
            let name: String
            let recorder: Recorder<String>
            func execute(_ context: JobContext, next: (JobContext) async throws -> Void) async throws {
                recorder.record("\(name) in")
                try await next(context)
                recorder.record("\(name) out")
            }
            func settled(_ context: JobContext, outcome: Outcome) { recorder.record("\(name) \(outcome.name)") }
        }
        let harness = try await WorkerHarness()
        let recorder = Recorder<String>()
        let layers = ["a", "b"].map { Layer(name: $0, recorder: recorder) }
        let worker = harness.worker(middleware: layers) { Handler(Probe.self) { _, _ in recorder.record("job") } }
        try await harness.enqueue()
        try await harness.run(worker) {
            #expect(await recorder.next(7) == ["a in", "b in", "job", "b out", "a out", "a succeeded", "b succeeded"])
        }
    }

    @Test func `With a strict policy, a waiting job of a more urgent lane always goes first`() async throws {
        let harness = try await WorkerHarness(lanes: [.high, .normal, .low])
        let order = try await self.order(of: 9, jobs: 3, harness, "probes")
        #expect(order == ["high", "high", "high", "normal", "normal", "normal", "low", "low", "low"])
    }

    @Test func `With weights, every lane gets its share of the turns`() async throws {
        let harness = try await WorkerHarness(lanes: [.high, .normal, .low])
        let queue = WorkerQueue("probes", prefetch: 12, lanes: .weighted([.high: 4, .normal: 2, .low: 1]))
        let order = try await self.order(of: 14, jobs: 12, harness, queue)
        // The three jobs that kept the slot busy took turns too.
        #expect((7...9).contains(order.filter { $0 == "high" }.count))
        #expect((3...5).contains(order.filter { $0 == "normal" }.count))
        #expect((1...3).contains(order.filter { $0 == "low" }.count))
    }

    /// The lanes of the first jobs that a worker runs, given a number of waiting jobs in each lane.
    private func order(
        of count: Int,
        jobs: Int,
        _ harness: WorkerHarness,
        _ queue: WorkerQueue
    ) async throws -> [String] {
        let gate = Latch()
        let recorder = Recorder<String>()
        let worker = harness.worker(WorkerQueue(queue.name, prefetch: 13, lanes: queue.lanes)) {
            Handler(Probe.self) { job, context in
                if job.number == 0 { return await gate.wait() }
                recorder.record(context.lane.name)
            }
        }
        // The first of a lane keeps the only slot busy until all is delivered.
        for number in 0...jobs {
            for lane in [Lane.low, .normal, .high] { try await harness.enqueue(number, lane: lane) }
        }
        var order: [String] = []
        try await harness.run(worker) {
            try await until { harness.unsettled == 3 * (jobs + 1) }
            gate.open()
            order = await recorder.next(count)
        }
        return order
    }

    @Test func `Two handlers for one name are an error at start`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker {
            Handler(Probe.self) { _, _ in }
            Handler(Probe.self) { _, _ in }
        }
        let error = await #expect(throws: WarrenError.self) { try await worker.run() }
        #expect(error?.code == .duplicateHandler)
    }
}
