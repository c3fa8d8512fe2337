import AMQP
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct WorkerTests {
    @Test func `A job that succeeds is acknowledged and nothing else is published`() async throws {
        let harness = try await WorkerHarness()
        let journal = Journal<Int>()
        let worker = harness.worker { Handle(Probe.self) { job, _ in journal.write(job.number) } }
        try await harness.enqueue(7)
        try await harness.run(worker) {
            #expect(await journal.next(1) == [7])
            await harness.broker.until { $0.acked == 1 }
        }
        #expect(worker.counts.succeeded == 1)
        #expect(harness.broker.now { $0.published.count } == 1)
        #expect(harness.broker.now { $0.unsettled } == 0)
    }

    @Test func `A job that fails goes down the ladder, comes back under its id and counts its attempts`() async throws {
        let harness = try await WorkerHarness()
        let journal = Journal<String>()
        let clock = ManualClock()
        let date = Date()
        let now: @Sendable () -> Date = { date + TimeInterval(clock.now.offset / .seconds(1)) }
        let worker = harness.worker(concurrency: 1, clock: clock, now: now) {
            Handle(Probe.self) { _, context in
                journal.write("\(context.id) \(context.attempt) \(context.retriesLeft)")
                if context.attempt < 3 { throw ProbeError() }
            }
        }
        let id = try await harness.enqueue()
        try await harness.run(worker) {
            for attempt in 1...2 {
                #expect(await journal.next(1) == ["\(id) \(attempt) \(3 - attempt)"])
                await harness.broker.until { $0.ready("warren.delay.v1.level-01").count == 1 && $0.acked == attempt }
                #expect(harness.broker.now { $0.unsettled } == 0)
                clock.advance(by: .seconds(3))
                harness.broker.expire("warren.delay.v1.level-01")
            }
            #expect(await journal.next(1) == ["\(id) 3 0"])
            await harness.broker.until { $0.acked == 3 }
        }
        #expect(worker.counts.retried == 2)
        #expect(worker.counts.succeeded == 1)
        #expect(harness.broker.now { $0.ready("probes.dead").count } == 0)
    }

    @Test func `After its last attempt a job is dead, with a record of why and where from`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handle(Probe.self) { _, _ in throw ProbeError() } }
        let envelope = try Envelope(encoding: Probe(number: 1), now: Date())
        var message = envelope.message
        message.properties.headers?[EnvelopeHeader.retries] = 2
        try await harness.publish(message)
        try await harness.run(worker) {
            await harness.broker.until { $0.ready("probes.dead").count == 1 && $0.acked == 1 }
        }
        let letter = DeadLetter(try #require(harness.broker.now { $0.ready("probes.dead").first }), of: "probes")
        #expect(letter.id == envelope.id)
        #expect(letter.record.reason == .attemptsExhausted)
        #expect(letter.record.errorType?.contains("ProbeError") == true)
        #expect(letter.record.history.map(\.attempt) == [3])
        #expect(letter.record.history.map(\.worker) == ["tester"])
        #expect(letter.record.originalExchange == "warren")
        #expect(letter.record.originalRoutingKey == "probes")
        #expect(letter.message.body == message.body)
    }

    @Test func `A failure that the handler calls permanent is dead at its first attempt`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handle(Probe.self) { _, _ in throw JobFailure.permanent("No such user.") } }
        try await harness.enqueue()
        try await harness.run(worker) { await harness.broker.until { $0.ready("probes.dead").count == 1 } }
        let letter = DeadLetter(try #require(harness.broker.now { $0.ready("probes.dead").first }), of: "probes")
        #expect(letter.record.reason == .permanent)
    }

    @Test func `What can't be read as a job is dead with the reason, byte for byte`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handle(Probe.self) { _, _ in } }
        try await harness.publish(Message(body: [1, 2, 3]))
        var wrongType = try Envelope(encoding: Probe(number: 1), now: Date()).message
        wrongType.body = Array(#"[[], {"number": "one"}, {}]"#.utf8)
        try await harness.publish(wrongType)
        try await harness.run(worker) {
            await harness.broker.until { $0.ready("probes.dead").count == 2 && $0.acked == 2 }
        }
        let letters = harness.broker.now { $0.ready("probes.dead") }.map { DeadLetter($0, of: "probes") }
        #expect(letters.map(\.message.body) == [[1, 2, 3], wrongType.body])
        #expect(letters.map(\.record.reason?.rawValue) == ["missing-task", "payload-mismatch"])
        #expect(letters.allSatisfy { $0.record.history.isEmpty })
    }

    @Test func `A retry in less than a second skips the ladder and waits its time outside of the slots`() async throws {
        struct Quick: Job {
            static let name = "tests.quick"
            static let queue: QueueName = "probes"
            static let retry: RetryPolicy = .fixed(.milliseconds(500), attempts: 2)
        }
        let harness = try await WorkerHarness()
        let clock = ManualClock()
        let date = Date()
        let journal = Journal<String>()
        let now: @Sendable () -> Date = { date + TimeInterval(clock.now.offset / .seconds(1)) }
        let worker = harness.worker(concurrency: 1, clock: clock, now: now) {
            Handle(Quick.self) { _, context in
                journal.write("quick \(context.attempt)")
                if context.attempt == 1 { throw ProbeError() }
            }
            Handle(Probe.self) { _, _ in journal.write("probe") }
        }
        try await harness.publish(Envelope(encoding: Quick(), now: date).message)
        try await harness.run(worker) {
            #expect(await journal.next(1) == ["quick 1"])
            await harness.broker.until { $0.acked == 1 && $0.unsettled == 1 }
            // Unparking and the held job sleep; the only slot is free.
            await clock.untilAsleep(2)
            try await harness.enqueue()
            #expect(await journal.next(1) == ["probe"])
            clock.advance(by: .milliseconds(501))
            #expect(await journal.next(1) == ["quick 2"])
        }
        #expect(
            harness.broker.now { $0.published.filter { $0.destination.exchange.hasPrefix("warren.delay") }.isEmpty }
        )
    }

    @Test func `A job that isn't due for long goes to the ladder without being run`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handle(Probe.self) { _, _ in Issue.record("It ran.") } }
        var message = try Envelope(encoding: Probe(number: 1), eta: Date() + 100.5, now: Date()).message
        message.properties.expiration = "1000"
        try await harness.publish(message)
        try await harness.run(worker) {
            await harness.broker.until { $0.ready("warren.delay.v1.level-06").count == 1 && $0.acked == 1 }
        }
        #expect(worker.counts.postponed == 1)
        let sent = try #require(harness.broker.now { $0.ready("warren.delay.v1.level-06").first })
        #expect(sent.properties.expiration == nil)
        #expect(sent.properties.headers?[EnvelopeHeader.retries] == 0)
    }

    @Test func `An expired job is not run: it is dead, or gone if its kind says so`() async throws {
        struct Fleeting: Job {
            static let name = "tests.fleeting"
            static let queue: QueueName = "probes"
            static let whenExpired: ExpiryPolicy = .discard
        }
        let harness = try await WorkerHarness()
        let worker = harness.worker {
            Handle(Probe.self) { _, _ in Issue.record("It ran.") }
            Handle(Fleeting.self) { _, _ in Issue.record("It ran.") }
        }
        try await harness.enqueue(expires: Date() - 1)
        try await harness.publish(Envelope(encoding: Fleeting(), expires: Date() - 1, now: Date()).message)
        try await harness.run(worker) { await harness.broker.until { $0.acked == 2 } }
        let letters = harness.broker.now { $0.ready("probes.dead") }.map { DeadLetter($0, of: "probes") }
        #expect(letters.map(\.record.reason) == [.expired])
        #expect(worker.counts.expired == 1)
    }

    @Test func `A job of an unknown name is parked, and a worker that knows it moves it back and runs it`() async throws
    {
        let harness = try await WorkerHarness()
        let id = try await harness.enqueue()
        let ignorant = harness.worker {}
        try await harness.run(ignorant) {
            await harness.broker.until { $0.ready("probes.parked").count == 1 && $0.acked == 1 }
        }
        #expect(ignorant.counts.parked == 1)

        let journal = Journal<String>()
        let worker = harness.worker {
            Handle(Probe.self) { _, context in journal.write("\(context.id) \(context.attempt)") }
        }
        try await harness.run(worker) {
            #expect(await journal.next(1) == ["\(id) 1"])
            await harness.broker.until { $0.unsettled == 0 && $0.ready("probes.parked").isEmpty }
        }
        let headers = harness.broker.now { $0.published.last?.message.properties.headers }
        #expect(headers?[EnvelopeHeader.originalExchange] == nil)
        #expect(headers?[EnvelopeHeader.parkedAt] == nil)
    }

    @Test func `A worker leaves parked what it doesn't know either`() async throws {
        let harness = try await WorkerHarness()
        let message = try Envelope(encoding: Probe(number: 1), now: Date()).message
        try await harness.broker.publish(message, to: .queue("probes.parked"), mandatory: true, deadline: .now)
        try await harness.run(harness.worker {}) { await harness.broker.until { $0.requeued == 1 } }
        #expect(harness.broker.now { $0.ready("probes.parked").count } == 1)
    }

    @Test func `Where the parked queue is full, an unknown job is dead`() async throws {
        let harness = try await WorkerHarness()
        try await harness.enqueue()
        harness.broker.change { $0.publishErrors = [AMQPError(.nacked, "Full.")] }
        try await harness.run(harness.worker {}) { await harness.broker.until { $0.acked == 1 } }
        let letters = harness.broker.now { $0.ready("probes.dead") }.map { DeadLetter($0, of: "probes") }
        #expect(letters.map(\.record.reason) == [.unknownName])
    }

    @Test func `Middleware wraps the handler in order, and hears the outcome`() async throws {
        struct Layer: JobMiddleware {
            let name: String
            let journal: Journal<String>
            func execute(_ context: JobContext, next: (JobContext) async throws -> Void) async throws {
                journal.write("\(name) in")
                try await next(context)
                journal.write("\(name) out")
            }
            func settled(_ context: JobContext, outcome: Outcome) { journal.write("\(name) \(outcome.name)") }
        }
        let harness = try await WorkerHarness()
        let journal = Journal<String>()
        let layers = ["a", "b"].map { Layer(name: $0, journal: journal) }
        let worker = harness.worker(middleware: layers) { Handle(Probe.self) { _, _ in journal.write("job") } }
        try await harness.enqueue()
        try await harness.run(worker) {
            #expect(await journal.next(7) == ["a in", "b in", "job", "b out", "a out", "a succeeded", "b succeeded"])
        }
    }

    @Test func `Strictly, a waiting job of a more urgent lane always goes first`() async throws {
        let harness = try await WorkerHarness(lanes: [.high, .normal, .low])
        for number in 1...3 {
            for lane in [Lane.low, .normal, .high] { try await harness.enqueue(number, lane: lane) }
        }
        let order = try await self.order(of: 9, harness, "probes")
        #expect(order == ["high", "high", "high", "normal", "normal", "normal", "low", "low", "low"])
    }

    @Test func `By weight, every lane has its share of the turns`() async throws {
        let harness = try await WorkerHarness(lanes: [.high, .normal, .low])
        for number in 1...12 {
            for lane in [Lane.low, .normal, .high] { try await harness.enqueue(number, lane: lane) }
        }
        let queue = WorkerQueue("probes", prefetch: 12, lanes: .weighted([.high: 4, .normal: 2, .low: 1]))
        let order = try await self.order(of: 14, harness, queue)
        // The three jobs that kept the slot busy took turns too.
        #expect((7...9).contains(order.filter { $0 == "high" }.count))
        #expect((3...5).contains(order.filter { $0 == "normal" }.count))
        #expect((1...3).contains(order.filter { $0 == "low" }.count))
    }

    /// The lanes of the first jobs that a worker runs which finds all lanes full.
    private func order(of count: Int, _ harness: WorkerHarness, _ queue: WorkerQueue) async throws -> [String] {
        let gate = Latch()
        let journal = Journal<String>()
        let worker = harness.worker(WorkerQueue(queue.name, prefetch: 13, lanes: queue.lanes)) {
            Handle(Probe.self) { job, context in
                if job.number == 0 { return await gate.wait() }
                journal.write(context.lane.name)
            }
        }
        let total = harness.broker.now {
            ["probes.high", "probes", "probes.low"].map($0.ready).map(\.count).reduce(0, +)
        }
        // The only slot is kept busy until all is delivered.
        let first = try Envelope(encoding: Probe(number: 0), now: Date()).message
        harness.broker.change { state in
            let stored = FakeBroker.Stored(message: first, destination: .queue("probes"))
            for lane in ["probes.high", "probes", "probes.low"] { state.queues[lane]?.ready.insert(stored, at: 0) }
        }
        var order: [String] = []
        try await harness.run(worker) {
            await harness.broker.until { $0.unsettled == total + 3 }
            gate.open()
            order = await journal.next(count)
        }
        return order
    }

    @Test func `Two handlers for one name are an error at start`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker {
            Handle(Probe.self) { _, _ in }
            Handle(Probe.self) { _, _ in }
        }
        let error = await #expect(throws: WarrenError.self) { try await worker.run() }
        #expect(error?.code == .duplicateHandler)
    }
}
