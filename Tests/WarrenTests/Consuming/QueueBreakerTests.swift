import AMQP
import EmbeddedBroker
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

    @Test func `A queue whose jobs all fail is paused, probed with one job, and consumed again when that succeeds`()
        async throws
    {
        let harness = try await WorkerHarness()
        let service = Service()
        let worker = harness.worker(Self.queue) {
            Handler(Probe.self) { _, _ in
                if !service.isUp.load(ordering: .relaxed) { throw JobFailure.permanent("Down.") }
            }
        }
        for number in 1...9 { try await harness.enqueue(number) }
        try await harness.run(worker) {
            try await until { harness.ready("probes.dead").count == 3 && harness.ready("probes").count == 6 }
            #expect(worker.counts.breakerOpened == 1)
            try await harness.untilQuiet()
            harness.clock.advance(by: .seconds(5))
            // The probe fails.
            try await until {
                harness.ready("probes.dead").count == 4 && harness.ready("probes").count == 5
                    && harness.consumers("probes") == 0
            }
            try await harness.untilQuiet()
            service.isUp.store(true, ordering: .relaxed)
            harness.clock.advance(by: .seconds(5))
            #expect(worker.counts.breakerOpened == 2)
            // Twice as long.
            #expect(worker.counts.succeeded == 0)
            harness.clock.advance(by: .seconds(5))
            try await until { worker.counts.succeeded == 5 && harness.consumed.count == 4 }
        }
        #expect(worker.counts.succeeded == 5)
        #expect(harness.consumed.map(\.prefetch) == [4, 1, 1, 4])
        #expect(worker.counts.consumersLost == 0)
        #expect(worker.counts.lateSettlements == 0)
    }

    @Test func `A job that still runs when its queue is paused is settled in the end`() async throws {
        let harness = try await WorkerHarness()
        let gate = Latch()
        let worker = harness.worker(Self.queue, concurrency: 2) {
            Handler(Probe.self) { job, _ in
                if job.number == 0 { return await gate.wait() }
                throw JobFailure.permanent("Down.")
            }
        }
        for number in 0...3 { try await harness.enqueue(number) }
        try await harness.run(worker) {
            try await until { harness.acknowledged == 3 }
            try await until { worker.counts.breakerOpened == 1 && harness.consumers("probes") == 0 }
            // The job needs it to be settled.
            #expect(harness.broker.embedded.channelCount == 1)
            gate.open()
            try await until { harness.acknowledged == 4 && harness.broker.embedded.channelCount == 0 }
        }
        #expect(worker.counts.succeeded == 1)
        #expect(worker.counts.redelivered == 0)
    }

    @Test func `An invalid circuit breaker is an error at start`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker(WorkerQueue("probes", circuitBreaker: .after(failures: 0))) {}
        let error = await #expect(throws: WarrenError.self) { try await worker.run() }
        #expect(error?.code == .invalidConfiguration)
    }
}

/// A dependency of the jobs that can fail.
private final class Service: Sendable {
    let isUp = Atomic(false)
}

extension WorkerHarness {
    /// The consumers of the queue so far.
    fileprivate var consumed: [FaultyBroker.Requests.Consume] {
        broker.requests.consumed.filter { $0.queue == "probes" }
    }
}
