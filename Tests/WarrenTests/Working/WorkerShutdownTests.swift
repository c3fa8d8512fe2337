import AMQP
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct WorkerShutdownTests {
    @Test func `At shutdown a running job finishes, and what has not begun is handed back`() async throws {
        let harness = try await WorkerHarness()
        let gate = Latch()
        let journal = Journal<Int>()
        let worker = harness.worker {
            Handle(Probe.self) { job, _ in
                journal.write(job.number)
                await gate.wait()
            }
        }
        for number in 1...2 { try await harness.enqueue(number) }
        try await harness.serve(worker) { shutDown in
            #expect(await journal.next(1) == [1])
            await harness.broker.until { $0.unsettled == 2 }
            await shutDown()
            await harness.broker.until { $0.requeued == 1 && $0.ready("probes").count == 1 }
            #expect(harness.broker.now { $0.acked } == 0)
            gate.open()
        }
        #expect(harness.broker.now { $0.acked } == 1)
        #expect(harness.broker.now { $0.unsettled } == 0)
        #expect(worker.counts.succeeded == 1)
        #expect(worker.counts.handedBack == 1)
    }

    @Test func `A job that is cancelled at the deadline is handed back, and no failure is counted`() async throws {
        let harness = try await WorkerHarness()
        let clock = ManualClock()
        let journal = Journal<Int>()
        let worker = harness.worker(
            settings: WorkerSettings(name: "tester", shutdownDeadline: .seconds(30)),
            clock: clock
        ) {
            Handle(Probe.self) { job, _ in
                journal.write(job.number)
                await Latch().wait()
                throw ProbeError()
            }
        }
        let id = try await harness.enqueue(1)
        try await harness.serve(worker) { shutDown in
            #expect(await journal.next(1) == [1])
            // Unparking sleeps; when it is over, the deadline runs.
            await clock.untilAsleep(1)
            await shutDown()
            while harness.broker.now({ $0.unsettled }) > 0 {
                await clock.untilAsleep(1)
                clock.advance(by: .seconds(30))
            }
        }
        let back = try #require(harness.broker.now { $0.ready("probes").first })
        #expect(back.properties.headers?[EnvelopeHeader.id]?.stringValue == id)
        #expect(back.properties.headers?[EnvelopeHeader.retries] == 0)
        #expect(worker.counts.handedBack == 1)
        #expect(worker.counts.retried == 0)
        #expect(worker.counts.dead == 0)
    }

    @Test func `A job that never returns is handed back, and the worker ends without it`() async throws {
        let harness = try await WorkerHarness()
        let journal = Journal<Int>()
        let never = Latch()
        let settings = WorkerSettings(
            name: "tester",
            shutdownDeadline: .milliseconds(10),
            cancellationGrace: .milliseconds(10)
        )
        let worker = harness.worker(settings: settings) {
            Handle(Probe.self) { job, _ in
                journal.write(job.number)
                while !never.isOpen { await Task.yield() }
            }
        }
        try await harness.enqueue(1)
        try await harness.serve(worker) { shutDown in
            #expect(await journal.next(1) == [1])
            await shutDown()
        }
        #expect(harness.broker.now { $0.ready("probes").count } == 1)
        #expect(harness.broker.now { $0.unsettled } == 0)
        #expect(worker.counts.handedBack == 1)
        // When it returns after all, nothing is settled a second time.
        never.open()
        #expect(harness.broker.now { $0.acked } == 0)
    }

    @Test func `Cancelling the task of run cancels the jobs at once and hands them back`() async throws {
        let harness = try await WorkerHarness()
        let journal = Journal<Int>()
        let worker = harness.worker(settings: WorkerSettings(name: "tester", shutdownDeadline: .seconds(3_600))) {
            Handle(Probe.self) { job, _ in
                journal.write(job.number)
                try await ManualClock().sleep(for: .seconds(3_600))
            }
        }
        try await harness.enqueue(1)
        try await harness.run(worker) { #expect(await journal.next(1) == [1]) }
        #expect(harness.broker.now { $0.ready("probes").count } == 1)
        #expect(worker.counts.handedBack == 1)
    }

    @Test func `A handler that throws CancellationError while nobody shuts down has failed`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handle(Probe.self) { _, _ in throw CancellationError() } }
        try await harness.enqueue(1)
        try await harness.run(worker) { await harness.broker.until { $0.acked == 1 } }
        #expect(worker.counts.retried == 1)
    }
}
