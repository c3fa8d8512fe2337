import AMQP
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct WorkerRecoveryTests {
    @Test func `A worker whose consumer is lost consumes again, and doesn't run twice what waited`() async throws {
        let harness = try await WorkerHarness()
        let clock = ManualClock()
        let gate = Latch()
        let journal = Journal<String>()
        let worker = harness.worker(clock: clock) {
            Handle(Probe.self) { job, context in
                journal.write("\(job.number) \(context.isRedelivered)")
                if job.number == 1, !context.isRedelivered { await gate.wait() }
            }
        }
        for number in 1...2 { try await harness.enqueue(number) }
        try await harness.run(worker) {
            #expect(await journal.next(1) == ["1 false"])
            await harness.broker.until { $0.unsettled == 2 }
            harness.broker.loseConsumers(of: "probes")
            // Unparking and the reader sleep.
            await clock.untilAsleep(2)
            gate.open()
            clock.advance(by: .seconds(5))
            #expect(await journal.next(2) == ["1 true", "2 true"])
            await harness.broker.until { $0.acked == 2 }
        }
        #expect(worker.counts.consumersLost == 1)
        #expect(worker.counts.redelivered == 2)
    }

    @Test(arguments: [(BrokerVersion(3, 10), [1, 2]), (BrokerVersion(4, 0), [1])])
    func `A consumer that hears nothing while the worker is idle is made anew, on brokers that may keep dead ones`(
        version: BrokerVersion,
        consumers: [Int]
    ) async throws {
        let harness = try await WorkerHarness(broker: FakeBroker(version: version))
        let clock = ManualClock()
        let worker = harness.worker(clock: clock) { Handle(Probe.self) { _, _ in } }
        try await harness.run(worker) {
            await harness.broker.until { $0.consumers("probes") == 1 }
            harness.broker.change { $0.deaf = [1] }
            try await harness.enqueue(1)
            for _ in 0..<3 {
                // Unparking sleeps, and where it is needed who looks after the consumers.
                await clock.untilAsleep(consumers.count)
                clock.advance(by: ConsumerRenewal.patience)
            }
            if consumers == [1] { harness.broker.change { $0.deaf = [] } }
            await harness.broker.until { $0.acked == 1 }
            #expect(harness.broker.now { $0.queues["probes"]?.consumers.keys.sorted() } == consumers.suffix(1))
        }
        #expect(worker.counts.consumersLost == 0)
    }

    @Test func `A queue that is deleted under the worker is declared again, with its way down the ladder`() async throws
    {
        let harness = try await WorkerHarness()
        let journal = Journal<Int>()
        let worker = harness.worker { Handle(Probe.self) { job, _ in journal.write(job.number) } }
        try await harness.run(worker) {
            await harness.broker.until { $0.consumers("probes") == 1 }
            _ = try await harness.broker.deleteQueue("probes")
            await harness.broker.until { $0.consumers("probes") == 1 }
            try await harness.enqueue(5)
            #expect(await journal.next(1) == [5])
        }
        #expect(harness.broker.now { $0.bindings.contains(DelayLadder.binding(for: "probes")) })
    }

    @Test func `A part of the topology that vanishes while it is declared is declared again`() async throws {
        let harness = try await WorkerHarness()
        harness.broker.change {
            $0.declareErrors = Array(repeating: AMQPError(.notFound, "Taken back."), count: 4)
        }
        let worker = harness.worker { Handle(Probe.self) { _, _ in } }
        try await harness.run(worker) {
            await harness.broker.until {
                $0.declareErrors.isEmpty && $0.bindings.contains(DelayLadder.binding(for: "probes"))
            }
        }
    }

    @Test func `A worker that starts before its broker waits for it`() async throws {
        let harness = try await WorkerHarness()
        let journal = Journal<Int>()
        harness.broker.change {
            $0.consumeErrors = Array(repeating: AMQPError(.connectionFailed, "Nobody there."), count: 3)
        }
        let worker = harness.worker { Handle(Probe.self) { job, _ in journal.write(job.number) } }
        try await harness.enqueue(5)
        try await harness.run(worker) { #expect(await journal.next(1) == [5]) }
    }

    @Test func `An error that doesn't pass ends the worker, in order`() async throws {
        let harness = try await WorkerHarness(lanes: [.high, .normal])
        harness.broker.change { $0.consumeErrors = [AMQPError(.accessRefused, "Not allowed.")] }
        let worker = harness.worker { Handle(Probe.self) { _, _ in } }
        let error = await #expect(throws: WarrenError.self) { try await worker.run() }
        #expect(error?.code == .workerFailed)
        #expect(error?.broker?.code == .accessRefused)
        #expect(harness.broker.now { $0.consumers("probes") + $0.consumers("probes.high") } == 0)
    }

    @Test func `A job whose delivery was lost while it waited is not begun, and one that ran then is not settled`()
        async throws
    {
        let harness = try await WorkerHarness()
        let gate = Latch()
        let journal = Journal<Int>()
        let worker = harness.worker(clock: ManualClock()) {
            Handle(Probe.self) { job, _ in
                journal.write(job.number)
                await gate.wait()
                throw ProbeError()
            }
        }
        for number in 1...2 { try await harness.enqueue(number) }
        let published = harness.broker.now { $0.published.count }
        try await harness.run(worker) {
            #expect(await journal.next(1) == [1])
            await harness.broker.until { $0.unsettled == 2 }
            // Its stream goes on, as that of a client that recovers does: nobody takes the second job out of the worker.
            harness.broker.change { state in
                state.lost.formUnion(state.queues["probes"]?.consumers.values.flatMap(\.unsettled.keys) ?? [])
            }
            gate.open()
            while worker.counts.lost == 0 { await Task.yield() }
        }
        #expect(worker.counts.lateSettlements == 1)
        #expect(worker.counts.lost == 1)
        #expect(worker.counts.retried == 0)
        #expect(harness.broker.now { $0.published.count } == published)
    }

    @Test func `A retry that can't be published at first is published later, once`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handle(Probe.self) { _, _ in throw ProbeError() } }
        try await harness.enqueue(1)
        harness.broker.change {
            $0.publishErrors = [AMQPError(.blocked, "An alarm."), AMQPError(.connectionLost, "Gone.")]
        }
        try await harness.run(worker) { await harness.broker.until { $0.acked == 1 } }
        #expect(harness.broker.now { $0.ready("warren.delay.v1.level-01").count } == 1)
        #expect(worker.counts.retried == 1)
    }

    @Test func `A retry that can't be published leaves the job in its queue, and isn't acknowledged`() async throws {
        let harness = try await WorkerHarness()
        let journal = Journal<Bool>()
        let worker = harness.worker {
            Handle(Probe.self) { _, context in
                journal.write(context.isRedelivered)
                if !context.isRedelivered { throw ProbeError() }
            }
        }
        try await harness.enqueue(1)
        harness.broker.change { $0.publishErrors = [AMQPError(.messageTooLarge, "Too large.")] }
        try await harness.run(worker) {
            #expect(await journal.next(2) == [false, true])
            await harness.broker.until { $0.acked == 1 }
        }
        #expect(worker.counts.handedBack == 1)
        #expect(worker.counts.succeeded == 1)
    }

    @Test func `A dead queue that is missing is declared again for the dead letter`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker {
            Handle(Probe.self) { _, _ in
                _ = try await harness.broker.deleteQueue("probes.dead")
                throw JobFailure.permanent("No.")
            }
        }
        try await harness.enqueue(1)
        try await harness.run(worker) {
            await harness.broker.until { $0.acked == 1 && $0.ready("probes.dead").count == 1 }
        }
    }
}
