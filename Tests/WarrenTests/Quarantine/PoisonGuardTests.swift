import AMQP
import EmbeddedBroker
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct PoisonGuardTests {
    @Test func `A job returned twice runs beside others, with its start on record until it has ended`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let gate = Latch()
        let worker = harness.worker(concurrency: 4) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                await gate.wait()
            }
        }
        let id = try await harness.addPossiblePoison(1, returns: 2)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == [1])
            try await harness.enqueue(2)
            #expect(await recorder.next(1) == [2])
            let start = try #require(await harness.unendedStarts(of: id).first)
            #expect(start.worker == "tester")
            #expect(!start.isQuarantined)
            gate.open()
            try await until { harness.acknowledged >= 2 && harness.unsettled == 0 }
            try await harness.until { await harness.unendedStarts(of: id).isEmpty }
        }
        #expect(worker.counts.succeeded == 2)
        #expect(worker.counts.quarantined == 0)
        #expect(!harness.exists("probes.quarantine"))
    }

    @Test(arguments: [1, 40])
    func `A job that was only requeued, however often, leaves no record and is never quarantined`(
        times: Int
    ) async throws {
        let harness = try await WorkerHarness(version: BrokerVersion(4, 3))
        try await harness.enqueue(1)
        let process = harness.broker.embedded.connect()
        for _ in 0..<times { try #require(try await process.get(queue: "probes")).nack(requeue: true) }
        await process.close()
        let worker = harness.worker { Handler(Probe.self) { _, _ in } }
        try await harness.run(worker) { try await until { harness.acknowledged == 1 } }
        #expect(worker.counts.redelivered == 1)
        #expect(!harness.exists("warren.starts"))
    }

    @Test func `A job returned once leaves no record`() async throws {
        let harness = try await WorkerHarness()
        _ = try await harness.addPossiblePoison(1, returns: 1)
        let worker = harness.worker { Handler(Probe.self) { _, _ in } }
        try await harness.run(worker) { try await until { harness.acknowledged == 1 } }
        #expect(!harness.exists("warren.starts"))
    }

    @Test func `A job with a start that has no end is quarantined, and runs there with its record`() async throws {
        let harness = try await WorkerHarness(lanes: [.high, .normal])
        let id = try await harness.addPossiblePoison(1, lane: .high, returns: 2)
        try await harness.addStarts(of: id, by: ["gone"], areQuarantined: false)
        let recorder = Recorder<String>()
        let worker = harness.worker {
            Handler(Probe.self) { _, context in
                recorder.record("\(context.queue) \(context.lane) \(context.isRedelivered)")
                throw ProbeError()
            }
        }
        try await harness.run(worker) {
            try await harness.pass { harness.exists("probes.quarantine") }
            // It goes on as if it had never been there.
            #expect(await recorder.next(1) == ["probes high false"])
            try await until { harness.ready("warren.delay.v1.level-01").count == 1 }
            try await harness.until { await harness.unendedStarts(of: id).isEmpty }
        }
        #expect(worker.counts.quarantined == 1)
        #expect(worker.counts.retried == 1)
        let retry = try #require(harness.ready("warren.delay.v1.level-01").first)
        #expect(retry.properties.headers?[EnvelopeHeader.quarantinedFrom] == nil)
        #expect(retry.properties.headers?[EnvelopeHeader.originalExchange] == nil)
    }

    @Test func `A job started from quarantine too often without an end is dead, with the workers' names`()
        async throws
    {
        let harness = try await WorkerHarness()
        let id = try await harness.addPossiblePoison(1, returns: 2)
        try await harness.addStarts(of: id, by: ["first"], areQuarantined: false)
        try await harness.addStarts(of: id, by: ["c", "a", "b"], areQuarantined: true)
        let worker = harness.worker { Handler(Probe.self) { _, _ in Issue.record("It was started again.") } }
        try await harness.run(worker) { try await harness.pass { !harness.deadLetters.isEmpty } }
        #expect(worker.counts.dead == 1)
        let record = try #require(harness.deadLetters.first).record
        #expect(record.reason == .crashed)
        #expect(record.errorType == CrashHistory.errorType)
        #expect(record.history.map(\.worker) == ["c", "a", "b"])
        #expect(record.history.map(\.errorType) == ["crash", "crash", "crash"])
        #expect(record.failures == 3)
        #expect(record.originalRoutingKey == "probes")
        #expect(record.message?.contains("c (started ") == true)
    }

    @Test func `A start whose worker comes back and records its end doesn't count`() async throws {
        let harness = try await WorkerHarness()
        let id = try await harness.addPossiblePoison(1, returns: 2)
        let starts = try await harness.addStarts(of: id, by: ["a", "b", "c"], areQuarantined: true)
        let worker = harness.worker { Handler(Probe.self) { _, _ in } }
        try await harness.run(worker) {
            try await harness.untilDue(in: .seconds(10))
            await harness.otherWorker.end(starts[1])
            try await harness.pass { worker.counts.succeeded == 1 }
        }
        #expect(harness.deadLetters.isEmpty)
    }

    @Test func `A start whose delivery is lost has an end, though its handler still runs`() async throws {
        let harness = try await WorkerHarness()
        let id = try await harness.addPossiblePoison(1, returns: 2)
        let recorder = Recorder<Int>()
        let worker = harness.worker(concurrency: 2) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                await Latch().wait()
            }
        }
        try await harness.run(worker) {
            #expect(await recorder.next(1) == [1])
            harness.broker.embedded.closeConnections()
            #expect(await recorder.next(1) == [1])
            try await harness.pass(.seconds(1))
            try await harness.until { await harness.unendedStarts(of: id).count == 1 }
        }
        #expect(worker.counts.quarantined == 0)
    }

    @Test(arguments: [true, false])
    func `The start of a job interrupted by shutdown has an end`(respondsToCancellation: Bool) async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let never = Gate()
        let id = try await harness.addPossiblePoison(1, returns: 3)
        let settings = WorkerSettings(
            name: "tester",
            shutdownTimeout: .seconds(24),
            cancellationGrace: .seconds(3)
        )
        let worker = harness.worker(settings: settings) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                if respondsToCancellation {
                    await Latch().wait()
                    throw CancellationError()
                }
                await never.wait()
            }
        }
        try await harness.serve(worker) { shutDown in
            #expect(await recorder.next(1) == [1])
            #expect(await harness.unendedStarts(of: id).count == 1)
            await shutDown()
            try await harness.pass { worker.counts.requeued == 1 }
        }
        #expect(await harness.unendedStarts(of: id).isEmpty)
        never.open()
    }

    @Test func `A job whose start can't be recorded runs all the same`() async throws {
        let harness = try await WorkerHarness()
        harness.broker.fail { $0.forbiddenQueues = ".starts" }
        let worker = harness.worker(concurrency: 2) { Handler(Probe.self) { _, _ in } }
        _ = try await harness.addPossiblePoison(1, returns: 9)
        try await harness.run(worker) { try await until { worker.counts.succeeded == 1 } }
    }

    @Test func `A hundred suspects leave the broker one stream and one queue more`() async throws {
        let harness = try await WorkerHarness()
        let queues = harness.broker.embedded.queueNames.count
        for number in 0..<100 {
            let id = try await harness.enqueue(number)
            try await harness.addStarts(of: id, by: ["gone"], areQuarantined: false)
        }
        for _ in 0..<2 { try await harness.loseProcess(with: 100) }
        let worker = harness.worker(concurrency: 8) { Handler(Probe.self) { _, _ in } }
        try await harness.run(worker) { try await harness.pass { worker.counts.succeeded == 100 } }
        #expect(worker.counts.quarantined == 100)
        #expect(harness.broker.embedded.queueNames.count == queues + 2)
    }
}

extension WorkerHarness {
    /// Enqueues a job, lets it take down a number of processes, and returns its id.
    fileprivate func addPossiblePoison(
        _ number: Int,
        lane: Lane = .normal,
        returns: Int
    ) async throws -> String {
        let id = try await enqueue(number, lane: lane)
        for _ in 0..<returns { try await loseProcess(with: 1, lane: lane) }
        return id
    }

    /// Simulates a process that takes a number of jobs and crashes.
    fileprivate func loseProcess(with jobs: Int, lane: Lane = .normal) async throws {
        let process = broker.embedded.connect()
        for _ in 0..<jobs { _ = try #require(try await process.get(queue: lane.queue(of: "probes"))) }
        await process.close()
    }

    /// Another worker's log.
    fileprivate var otherWorker: StartLog {
        StartLog(worker(settings: WorkerSettings(name: "other")) { Handler(Probe.self) { _, _ in } })
    }

    /// Records starts of a job by workers that are gone.
    @discardableResult
    fileprivate func addStarts(
        of id: String,
        by workers: [String],
        areQuarantined: Bool
    ) async throws -> [JobStart] {
        var starts: [JobStart] = []
        for name in workers {
            let log = otherWorker
            let start = JobStart(
                id: JobID.make(now: now),
                job: "probes/\(id)",
                worker: name,
                run: log.run,
                time: now,
                isQuarantined: areQuarantined
            )
            _ = try await log.begin(start)
            await log.close()
            starts.append(start)
        }
        return starts
    }

    /// The starts of a job that have no end.
    fileprivate func unendedStarts(of id: String) async -> [JobStart] {
        let log = otherWorker
        let start = JobStart(
            id: JobID.make(now: now),
            job: "probes/\(id)",
            worker: "reader",
            run: log.run,
            time: now,
            isQuarantined: false
        )
        let starts = try? await log.begin(start)
        await log.end(start)
        await log.close()
        return starts ?? []
    }

    fileprivate func until(_ condition: () async -> Bool) async throws {
        while !(await condition()) {
            try Task.checkCancellation()
            await Task.yield()
        }
    }
}
