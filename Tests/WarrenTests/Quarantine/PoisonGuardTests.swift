import AMQP
import EmbeddedBroker
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct PoisonGuardTests {
    @Test func `A job redelivered for the second time runs alone, with its start on record until it has ended`()
        async throws
    {
        let harness = try await WorkerHarness()
        let recorder = Recorder<String>()
        let gate = Latch()
        let worker = harness.worker(concurrency: 4) {
            Handler(Probe.self) { job, _ in
                recorder.record("\(job.number) begins")
                if job.number == 1 { await gate.wait() }
                recorder.record("\(job.number) ends")
            }
        }
        let id = try await harness.addPossiblePoison(1, returns: 2)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == ["1 begins"])
            let records = CrashRecords(queue: "probes", jobID: id, kind: .quorum, transport: harness.broker)
            let start = try #require(harness.ready(records.name).first.flatMap(CrashRecord.init))
            #expect(start.jobID == id)
            #expect(start.worker == "tester")
            try await harness.enqueue(2)
            try await until { harness.unsettled == 2 }
            gate.open()
            #expect(await recorder.next(3) == ["1 ends", "2 begins", "2 ends"])
            try await until { harness.acknowledged == 2 && !harness.exists(records.name) }
        }
        #expect(worker.counts.succeeded == 2)
    }

    @Test func `A job redelivered for the first time isn't treated as possible poison`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let gate = Latch()
        let worker = harness.worker(concurrency: 4) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                await gate.wait()
            }
        }
        for number in 1...2 { try await harness.enqueue(number) }
        try await harness.loseProcess(with: 2)
        try await harness.run(worker) {
            #expect(await recorder.next(2).sorted() == [1, 2])
            gate.open()
            try await until { harness.unsettled == 0 }
        }
        #expect(!harness.broker.requests.queues.contains { $0.contains(".suspect.") })
    }

    @Test func `A job that took down three processes, alone in each, is quarantined with their names`() async throws {
        let harness = try await WorkerHarness()
        let id = try await harness.addPossiblePoison(1, returns: 5)
        let records = CrashRecords(queue: "probes", jobID: id, kind: .quorum, transport: harness.broker)
        _ = try await records.open()
        let noon = Date(timeIntervalSince1970: 1_795_262_400)
        for (index, name) in ["c", "a", "b"].enumerated() {
            try await records.add(CrashRecord(jobID: id, worker: name, now: noon + Double(index)))
        }
        // Of another job whose id has the same hash: not counted, and not lost either before the quarantine is durable.
        try await records.add(CrashRecord(jobID: "another", worker: "d", now: noon))
        let worker = harness.worker { Handler(Probe.self) { _, _ in Issue.record("It was started again.") } }
        try await harness.run(worker) {
            try await until { harness.acknowledged == 1 && !harness.exists(records.name) }
        }
        #expect(worker.counts.dead == 1)
        let record = try #require(harness.deadLetters.first).record
        #expect(record.reason == .crashed)
        #expect(record.errorType == CrashHistory.errorType)
        #expect(record.history.map(\.worker) == ["c", "a", "b"])
        #expect(record.history.map(\.errorType) == ["crash", "crash", "crash"])
        #expect(record.history.map(\.time) == (0...2).map { noon + Double($0) })
        #expect(record.failures == 3)
        #expect(record.message?.contains("c (started 2026-11-21T12:00:00") == true)
    }

    @Test func `Two unfinished starts are not enough, and a job that then succeeds leaves nothing`() async throws {
        let harness = try await WorkerHarness()
        let id = try await harness.addPossiblePoison(1, returns: 3)
        let records = CrashRecords(queue: "probes", jobID: id, kind: .quorum, transport: harness.broker)
        _ = try await records.open()
        for name in ["a", "b"] { try await records.add(CrashRecord(jobID: id, worker: name, now: harness.now)) }
        let worker = harness.worker {
            Handler(Probe.self) { _, _ in #expect(harness.ready(records.name).count == 3) }
        }
        try await harness.run(worker) {
            try await until { harness.acknowledged == 1 && !harness.exists(records.name) }
        }
        #expect(worker.counts.succeeded == 1)
    }

    @Test(arguments: [true, false])
    func `A possible poison job interrupted by shutdown removes only its own start record`(
        respondsToCancellation: Bool
    ) async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let never = Gate()
        let id = try await harness.addPossiblePoison(1, returns: 3)
        let records = CrashRecords(queue: "probes", jobID: id, kind: .quorum, transport: harness.broker)
        _ = try await records.open()
        try await records.add(CrashRecord(jobID: id, worker: "before", now: harness.now))
        let settings = WorkerSettings(
            name: "tester",
            shutdownTimeout: .seconds(20),
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
            #expect(harness.ready(records.name).count == 2)
            await shutDown()
            try await harness.pass(.seconds(20))
            if !respondsToCancellation { try await harness.pass(.seconds(3)) }
        }
        let left = harness.ready(records.name).compactMap(CrashRecord.init)
        #expect(left.map(\.worker) == ["before"])
        never.open()
    }

    @Test func `A possible poison job whose start can't be recorded still runs alone`() async throws {
        let harness = try await WorkerHarness()
        harness.broker.fail { $0.forbiddenQueues = ".suspect." }
        let recorder = Recorder<Int>()
        let gate = Latch()
        let worker = harness.worker(concurrency: 2) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                if job.number == 1 { await gate.wait() }
                recorder.record(job.number)
            }
        }
        _ = try await harness.addPossiblePoison(1, returns: 9)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == [1])
            try await harness.enqueue(2)
            try await until { harness.unsettled == 2 }
            gate.open()
            #expect(await recorder.next(3) == [1, 2, 2])
        }
    }

    @Test func `A job that waits for a possible poison job is requeued at shutdown`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let gate = Latch()
        let worker = harness.worker(concurrency: 2) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                await gate.wait()
            }
        }
        _ = try await harness.addPossiblePoison(1, returns: 2)
        try await harness.serve(worker) { shutDown in
            #expect(await recorder.next(1) == [1])
            try await harness.enqueue(2)
            try await until { harness.unsettled == 2 }
            await shutDown()
            try await until { harness.ready("probes").count == 1 }
            gate.open()
        }
        #expect(worker.counts.succeeded == 1)
        #expect(worker.counts.requeued == 1)
    }
}

extension WorkerHarness {
    /// Enqueues a job, lets it take down a number of processes, and returns its id.
    fileprivate func addPossiblePoison(_ number: Int, returns: Int) async throws -> String {
        let id = try await enqueue(number)
        for _ in 0..<returns { try await loseProcess(with: 1) }
        return id
    }

    /// Simulates a process that takes a number of jobs and crashes.
    fileprivate func loseProcess(with jobs: Int) async throws {
        let process = broker.embedded.connect()
        for _ in 0..<jobs { _ = try #require(try await process.get(queue: "probes")) }
        await process.close()
    }
}
