import AMQP
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct CrashLoopTests {
    @Test func `A job that comes back for the second time runs alone, with its start on record until it has ended`()
        async throws
    {
        let harness = try await WorkerHarness()
        let journal = Journal<String>()
        let gate = Latch()
        let worker = harness.worker(concurrency: 4) {
            Handle(Probe.self) { job, _ in
                journal.write("\(job.number) begins")
                if job.number == 1 { await gate.wait() }
                journal.write("\(job.number) ends")
            }
        }
        let id = try harness.addSuspect(1, returns: 2)
        try await harness.run(worker) {
            #expect(await journal.next(1) == ["1 begins"])
            let records = StartRecords(queue: "probes", jobID: id, kind: .quorum, transport: harness.broker)
            let start = try #require(harness.broker.now { $0.ready(records.name) }.first.flatMap(StartRecord.init))
            #expect(start.jobID == id)
            #expect(start.worker == "tester")
            try await harness.enqueue(2)
            await harness.broker.until { $0.unsettled == 2 }
            gate.open()
            #expect(await journal.next(3) == ["1 ends", "2 begins", "2 ends"])
            await harness.broker.until { $0.acked == 2 && $0.queues[records.name] == nil }
        }
        #expect(worker.counts.succeeded == 2)
    }

    @Test func `A job that comes back for the first time is not suspected`() async throws {
        let harness = try await WorkerHarness()
        let journal = Journal<Int>()
        let gate = Latch()
        let worker = harness.worker(concurrency: 4) {
            Handle(Probe.self) { job, _ in
                journal.write(job.number)
                await gate.wait()
            }
        }
        for number in 1...2 { _ = try harness.addSuspect(number, returns: 1) }
        try await harness.run(worker) {
            #expect(await journal.next(2).sorted() == [1, 2])
            gate.open()
            await harness.broker.until { $0.unsettled == 0 }
        }
        #expect(!harness.broker.now { $0.queues.keys.contains { $0.contains(".suspect.") } })
    }

    @Test func `A job that took three processes down, alone in each, is quarantined with their names`() async throws {
        let harness = try await WorkerHarness()
        let id = try harness.addSuspect(1, returns: 5)
        let records = StartRecords(queue: "probes", jobID: id, kind: .quorum, transport: harness.broker)
        _ = try await records.open()
        let noon = Date(timeIntervalSince1970: 1_795_262_400)
        for (index, name) in ["c", "a", "b"].enumerated() {
            try await records.add(StartRecord(jobID: id, worker: name, now: noon + Double(index)))
        }
        // Of another job whose id has the same hash: not counted, and not lost either before the quarantine is durable.
        try await records.add(StartRecord(jobID: "another", worker: "d", now: noon))
        let worker = harness.worker { Handle(Probe.self) { _, _ in Issue.record("It was started again.") } }
        try await harness.run(worker) {
            await harness.broker.until { $0.acked == 1 && $0.queues[records.name] == nil }
        }
        #expect(worker.counts.dead == 1)
        let letter = try #require(harness.broker.now { $0.ready("probes.dead") }.first)
        let record = DeadLetter(letter, of: "probes").record
        #expect(record.reason == .crashed)
        #expect(record.errorType == CrashLoop.errorType)
        #expect(record.history.map(\.worker) == ["c", "a", "b"])
        #expect(record.history.map(\.errorType) == ["crash", "crash", "crash"])
        #expect(record.history.map(\.time) == (0...2).map { noon + Double($0) })
        #expect(record.failures == 3)
        #expect(record.message?.contains("c (started 2026-11-21T12:00:00") == true)
    }

    @Test func `Two unfinished starts are not enough, and a job that then succeeds leaves nothing`() async throws {
        let harness = try await WorkerHarness()
        let id = try harness.addSuspect(1, returns: 3)
        let records = StartRecords(queue: "probes", jobID: id, kind: .quorum, transport: harness.broker)
        _ = try await records.open()
        for name in ["a", "b"] { try await records.add(StartRecord(jobID: id, worker: name, now: Date())) }
        let worker = harness.worker {
            Handle(Probe.self) { _, _ in #expect(harness.broker.now { $0.ready(records.name).count } == 3) }
        }
        try await harness.run(worker) {
            await harness.broker.until { $0.acked == 1 && $0.queues[records.name] == nil }
        }
        #expect(worker.counts.succeeded == 1)
    }

    @Test(arguments: [true, false])
    func `A suspected job that shutdown interrupts takes back its own start only`(heedsCancellation: Bool) async throws
    {
        let harness = try await WorkerHarness()
        let journal = Journal<Int>()
        let never = Latch()
        let id = try harness.addSuspect(1, returns: 3)
        let records = StartRecords(queue: "probes", jobID: id, kind: .quorum, transport: harness.broker)
        _ = try await records.open()
        try await records.add(StartRecord(jobID: id, worker: "before", now: Date()))
        let settings = WorkerSettings(
            name: "tester",
            shutdownDeadline: .milliseconds(10),
            cancellationGrace: .milliseconds(heedsCancellation ? 10_000 : 10)
        )
        let worker = harness.worker(settings: settings) {
            Handle(Probe.self) { job, _ in
                journal.write(job.number)
                if heedsCancellation {
                    await Latch().wait()
                    throw CancellationError()
                }
                while !never.isOpen { await Task.yield() }
            }
        }
        try await harness.serve(worker) { shutDown in
            #expect(await journal.next(1) == [1])
            #expect(harness.broker.now { $0.ready(records.name).count } == 2)
            await shutDown()
        }
        let left = harness.broker.now { $0.ready(records.name) }.compactMap(StartRecord.init)
        #expect(left.map(\.worker) == ["before"])
        never.open()
    }

    @Test func `Where its start can't be recorded, a suspected job still runs, alone`() async throws {
        let harness = try await WorkerHarness()
        harness.broker.change { $0.forbiddenQueues = ".suspect." }
        let journal = Journal<Int>()
        let gate = Latch()
        let worker = harness.worker(concurrency: 2) {
            Handle(Probe.self) { job, _ in
                journal.write(job.number)
                if job.number == 1 { await gate.wait() }
                journal.write(job.number)
            }
        }
        _ = try harness.addSuspect(1, returns: 9)
        try await harness.run(worker) {
            #expect(await journal.next(1) == [1])
            try await harness.enqueue(2)
            await harness.broker.until { $0.unsettled == 2 }
            gate.open()
            #expect(await journal.next(3) == [1, 2, 2])
        }
    }

    @Test func `A job that waits for a suspected one goes back to its queue at shutdown`() async throws {
        let harness = try await WorkerHarness()
        let journal = Journal<Int>()
        let gate = Latch()
        let worker = harness.worker(concurrency: 2) {
            Handle(Probe.self) { job, _ in
                journal.write(job.number)
                await gate.wait()
            }
        }
        _ = try harness.addSuspect(1, returns: 2)
        try await harness.serve(worker) { shutDown in
            #expect(await journal.next(1) == [1])
            try await harness.enqueue(2)
            await harness.broker.until { $0.unsettled == 2 }
            await shutDown()
            await harness.broker.until { $0.ready("probes").count == 1 }
            gate.open()
        }
        #expect(worker.counts.succeeded == 1)
        #expect(worker.counts.handedBack == 1)
    }
}

extension WorkerHarness {
    /// Puts a job into the queue that was returned to it so many times, and says the job's id.
    fileprivate func addSuspect(_ number: Int, returns: Int64) throws -> String {
        let envelope = try Envelope(encoding: Probe(number: number), now: Date())
        var stored = FakeBroker.Stored(message: envelope.message, destination: .queue("probes"))
        stored.message.properties.headers?[EnvelopeHeader.deliveryCount] = .integer(returns)
        stored.isRedelivered = true
        let added = stored
        broker.change { $0.queues["probes"]?.ready.append(added) }
        return envelope.id
    }
}
