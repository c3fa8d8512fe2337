import Synchronization
import TestSupport
import Testing
import Warren

@Suite(.broker(.embedded, .rabbitMQ), .timeLimit(.minutes(1))) struct CircuitBreakerOnBrokerTests {
    @Test func `A queue whose jobs all fail is paused, and drained once a probe succeeds`() async throws {
        try await TestApplication.with { application in
            let running = Mutex<Worker?>(nil)
            let worker = application.worker(
                concurrency: 2,
                prefetch: 4,
                breaker: .after(failures: 3, pause: .milliseconds(200), longest: .milliseconds(200))
            ) {
                Handler(Probe.self) { _, _ in
                    // Opened once for the first three, and once more for a probe.
                    let opened = running.withLock { $0?.counts.breakerOpened ?? 0 }
                    if opened < 2 { throw JobFailure.permanent("The service is down.") }
                }
            }
            running.withLock { $0 = worker }
            for number in 0..<40 {
                _ = try await application.jobs.enqueue(Probe(number: number), queue: application.queue)
            }
            try await application.run(worker) {
                try await until { worker.counts.succeeded + worker.counts.dead >= 40 }
            }
            // The first three, what ran or was on its way beside them, and the probe.
            #expect((4...10).contains(worker.counts.dead))
            try await application.until(application.queue.dead, holds: worker.counts.dead)
            #expect(try await application.ready(application.queue.rawValue) == 0)
        }
    }
}
