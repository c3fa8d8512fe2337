import AMQP
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct WorkerHealthTests {
    @Test func `A worker is ready once all its lanes are consumed, and not when it stops`() async throws {
        let harness = try await WorkerHarness(lanes: [.high, .normal])
        let (gate, recorder) = (Latch(), Recorder<Int>())
        let worker = harness.worker {
            Handler(Probe.self) { _, _ in
                recorder.record(1)
                await gate.wait()
            }
        }
        let before = worker.health()
        #expect(before.phase == .waiting)
        #expect(!before.isReady)
        #expect(before.isLive)
        try await harness.enqueue(1)
        try await harness.serve(worker) { shutDown in
            #expect(await recorder.next(1) == [1])
            try await until { harness.consumers("probes") == 1 && harness.consumers("probes.high") == 1 }
            try await until { worker.health().isReady }
            let health = worker.health()
            #expect(health.phase == .working)
            #expect(health.isLive)
            #expect(health.problems.isEmpty)
            #expect(health.consumers.map(\.lane) == ["high", "normal"])
            #expect(health.consumers.map(\.isRegistered) == [true, true])
            #expect(health.runningJobs == 1)
            #expect(health.consuming == "open")
            await shutDown()
            try await until { worker.health().phase != .working }
            let stopping = worker.health()
            #expect(stopping.phase == .stopping)
            #expect(!stopping.isReady)
            #expect(stopping.isLive)
            gate.open()
        }
        #expect(worker.health().phase == .stopped)
        #expect(worker.health().isLive)
    }

    @Test func `A worker whose queue can't be consumed is not ready, says why, and stays live`() async throws {
        let harness = try await WorkerHarness()
        harness.broker.fail { $0.consuming.always = AMQPError(.accessRefused, "It is forbidden.") }
        let worker = harness.worker { Handler(Probe.self) { _, _ in } }
        try await harness.run(worker) {
            try await until { !(worker.health().consumers.first?.problem ?? "").isEmpty }
            let health = worker.health(at: .now + .seconds(3_600))
            #expect(!health.isReady)
            #expect(health.isLive)
            #expect(
                health.problems == [
                    "The lane 'normal' of the queue 'probes' is not being consumed: It is forbidden."
                ]
            )
        }
    }

    @Test func `A queue that is paused on purpose counts as healthy`() {
        let consumers = Consumers()
        consumers.setPaused(true, queue: "probes")
        #expect(consumers.health().paused == ["probes"])
        #expect(ConsumerHealth(queue: "probes", lane: "normal", isRegistered: false, isPaused: true).isHealthy)
        consumers.setPaused(false, queue: "probes")
        #expect(consumers.health().paused.isEmpty)
    }

    @Test func `Health survives its way through JSON`() throws {
        let health = WorkerHealth(
            worker: "w",
            at: noon,
            phase: .working,
            isReady: false,
            isLive: true,
            problems: ["The connection that consumes is recovering (2)."],
            publishing: "open",
            consuming: "recovering (2)",
            secondsSinceLastReceived: nil,
            consumers: [ConsumerHealth(queue: "q", lane: "high", isRegistered: false, isPaused: false)],
            runningJobs: 3
        )
        #expect(try JSONDecoder().decode(WorkerHealth.self, from: JSONEncoder().encode(health)) == health)
    }
}
