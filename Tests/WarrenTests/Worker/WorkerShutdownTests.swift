import AMQP
import EmbeddedBroker
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct WorkerShutdownTests {
    @Test func `At shutdown a running job finishes, and jobs that haven't started are requeued`() async throws {
        let harness = try await WorkerHarness()
        let gate = Latch()
        let recorder = Recorder<Int>()
        let worker = harness.worker {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                await gate.wait()
            }
        }
        for number in 1...2 { try await harness.enqueue(number) }
        try await harness.serve(worker) { shutDown in
            #expect(await recorder.next(1) == [1])
            try await until { harness.unsettled == 2 }
            await shutDown()
            try await until { harness.requeued == 1 && harness.ready("probes").count == 1 }
            #expect(harness.acknowledged == 0)
            gate.open()
        }
        #expect(harness.acknowledged == 1)
        #expect(harness.unsettled == 0)
        #expect(worker.counts.succeeded == 1)
        #expect(worker.counts.requeued == 1)
    }

    @Test func `A job cancelled at the deadline is requeued, and no failure is counted`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let worker = harness.worker(settings: WorkerSettings(name: "tester", shutdownTimeout: .seconds(23))) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                await Latch().wait()
                throw ProbeError()
            }
        }
        let id = try await harness.enqueue(1)
        try await harness.serve(worker) { shutDown in
            #expect(await recorder.next(1) == [1])
            await shutDown()
            try await harness.untilDue(in: .seconds(20))
            harness.clock.advance(by: .milliseconds(19_999))
            #expect(harness.unsettled == 1)
            harness.clock.advance(by: .milliseconds(1))
        }
        #expect(harness.unsettled == 0)
        let back = try #require(harness.ready("probes").first)
        #expect(back.properties.headers?[EnvelopeHeader.id]?.stringValue == id)
        #expect(back.properties.headers?[EnvelopeHeader.retries] == 0)
        #expect(worker.counts.requeued == 1)
        #expect(worker.counts.retried == 0)
        #expect(worker.counts.dead == 0)
    }

    @Test func `A job that never returns is requeued, and the worker ends without it`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let never = Gate()
        let settings = WorkerSettings(
            name: "tester",
            shutdownTimeout: .seconds(24),
            cancellationGrace: .seconds(3)
        )
        let worker = harness.worker(settings: settings) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                await never.wait()
                recorder.record(job.number)
            }
        }
        try await harness.enqueue(1)
        try await harness.serve(worker) { shutDown in
            #expect(await recorder.next(1) == [1])
            await shutDown()
            try await harness.pass(.seconds(20))
            try await harness.pass(.seconds(3))
        }
        #expect(harness.ready("probes").count == 1)
        #expect(harness.unsettled == 0)
        #expect(worker.counts.requeued == 1)
        // When it returns after all, nothing is settled a second time.
        never.open()
        #expect(await recorder.next(1) == [1])
        #expect(harness.acknowledged == 0)
        #expect(harness.requeued == 1)
    }

    @Test func `Cancelling the task of run cancels the jobs at once and requeues them`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let worker = harness.worker(settings: WorkerSettings(name: "tester", shutdownTimeout: .seconds(3_600))) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                try await harness.clock.sleep(for: .seconds(3_600))
            }
        }
        try await harness.enqueue(1)
        try await harness.run(worker) { #expect(await recorder.next(1) == [1]) }
        #expect(harness.ready("probes").count == 1)
        #expect(worker.counts.requeued == 1)
    }

    @Test func `A handler that throws CancellationError while nobody shuts down has failed`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handler(Probe.self) { _, _ in throw CancellationError() } }
        try await harness.enqueue(1)
        try await harness.run(worker) { try await until { harness.acknowledged == 1 } }
        #expect(worker.counts.retried == 1)
    }
}
