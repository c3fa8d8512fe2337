import AMQP
import Synchronization
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct QueueBreakerTests {
    private static let queue = WorkerQueue(
        "probes",
        prefetch: 4,
        circuitBreaker: .after(failures: 3, pause: .seconds(5), longest: .seconds(120))
    )

    @Test func `A queue whose jobs all fail is left alone, tried with one job, and consumed again when that succeeds`()
        async throws
    {
        let harness = try await WorkerHarness()
        let clock = ManualClock()
        let service = Service()
        let worker = harness.worker(Self.queue, clock: clock) {
            Handle(Probe.self) { _, _ in
                if !service.isUp.load(ordering: .relaxed) { throw JobFailure.permanent("Down.") }
            }
        }
        for number in 1...9 { try await harness.enqueue(number) }
        try await harness.run(worker) {
            await harness.broker.until { $0.ready("probes.dead").count == 3 && $0.ready("probes").count == 6 }
            #expect(worker.counts.breakerOpened == 1)
            // Unparking and the breaker sleep.
            await clock.untilAsleep(2)
            clock.advance(by: .seconds(5))
            // The probe fails.
            await harness.broker.until {
                $0.ready("probes.dead").count == 4 && $0.ready("probes").count == 5 && $0.largestPrefetch("probes") == 0
            }
            await clock.untilAsleep(2)
            service.isUp.store(true, ordering: .relaxed)
            clock.advance(by: .seconds(5))
            #expect(worker.counts.breakerOpened == 2)
            // Twice as long.
            #expect(harness.broker.now { $0.acked } == 4)
            clock.advance(by: .seconds(5))
            await harness.broker.until { $0.acked == 9 && $0.largestPrefetch("probes") == 4 }
        }
        #expect(worker.counts.succeeded == 5)
        #expect(worker.counts.consumersLost == 0)
        #expect(worker.counts.lateSettlements == 0)
    }

    @Test func `A job that still runs when its queue is left alone is settled in the end`() async throws {
        let harness = try await WorkerHarness()
        let gate = Latch()
        let worker = harness.worker(Self.queue, concurrency: 2, clock: ManualClock()) {
            Handle(Probe.self) { job, _ in
                if job.number == 0 { return await gate.wait() }
                throw JobFailure.permanent("Down.")
            }
        }
        for number in 0...3 { try await harness.enqueue(number) }
        try await harness.run(worker) {
            await harness.broker.until { $0.acked == 3 }
            while worker.counts.breakerOpened == 0 { await Task.yield() }
            gate.open()
            await harness.broker.until { $0.acked == 4 && $0.consumers("probes") == 0 }
        }
        #expect(worker.counts.succeeded == 1)
        #expect(worker.counts.redelivered == 0)
    }

    @Test func `A circuit breaker that makes no sense is an error at start`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker(WorkerQueue("probes", circuitBreaker: .after(failures: 0))) {}
        let error = await #expect(throws: WarrenError.self) { try await worker.run() }
        #expect(error?.code == .invalidConfiguration)
    }
}

/// What the jobs need.
private final class Service: Sendable {
    let isUp = Atomic(false)
}

extension FakeBroker.State {
    /// The most that one of a queue's consumers may have.
    ///
    /// One that was cancelled may have none.
    fileprivate func largestPrefetch(_ queue: String) -> Int {
        queues[queue]?.consumers.values.map(\.prefetch).max() ?? 0
    }
}
