import EmbeddedBroker
import Logging
import ServiceLifecycle
public import Warren

extension TestBench {
    /// Runs a worker until nothing is left for it to do.
    ///
    /// All jobs that are due are run; then the clock moves to when the next is, and so on, until no job is on its way to a queue any more:
    /// delayed jobs and retries, years away or not, run at once and in their order. What handlers enqueue is run too.
    ///
    /// A job that retries without end never lets it return: give the test a time limit, or this a `time`.
    ///
    /// - Parameter worker: One of ``worker(queues:concurrency:settings:middleware:handlers:)``, or of the application's own making with this
    ///   bench's broker, ``clock`` and `now`.
    /// - Parameter time: How much time to let pass; afterwards the clock stands just there. `nil` for as much as the jobs need.
    /// - Returns: What became of the deliveries since the worker was made.
    /// - Throws: What ``Warren/Worker/run()`` throws.
    @discardableResult
    public func drainQueues(_ worker: Worker, for time: Duration? = nil) async throws -> WorkerCounts {
        let service = ServiceGroupConfiguration.ServiceConfiguration(
            service: worker,
            successTerminationBehavior: .gracefullyShutdownGroup
        )
        let quiet = Logger(label: "warren.testing") { _ in SwiftLogNoOpLogHandler() }
        let group = ServiceGroup(configuration: .init(services: [service], logger: quiet))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask { [self] in
                // Cancelled if the worker fails, whose error is the one to be thrown.
                try? await letWork(worker, until: time.map { clock.now.advanced(by: $0) })
                await group.triggerGracefulShutdown()
            }
            try await tasks.waitForAll()
        }
        return worker.counts
    }

    private func letWork(_ worker: Worker, until end: VirtualClock.Instant?) async throws {
        while !worker.lanes.allSatisfy({ broker.consumerCount(of: $0) > 0 }) { try await step() }
        while true {
            while !isQuiet(worker) { try await step() }
            guard let next = clock.nextEvent, worker.delayedDeliveries > 0 || isAnyDelayed else { break }
            if let end, next > end { break }
            clock.advanceToNextEvent()
        }
        if let end { clock.advance(by: clock.now.duration(to: end)) }
        while !isQuiet(worker) { try await step() }
    }

    /// Lets other tasks go on; nothing tells when they have.
    private func step() async throws {
        try Task.checkCancellation()
        await Task.yield()
    }

    /// Whether nothing happens until the clock moves.
    private func isQuiet(_ worker: Worker) -> Bool {
        let held = worker.delayedDeliveries
        // What holds a delivery sleeps until its time, and so does what looks after each queue.
        return broker.isQuiet(exceptFor: held) && clock.sleeperCount >= held + worker.queueNames.count
    }

    /// Whether a job waits on the delay ladder.
    private var isAnyDelayed: Bool {
        (0..<DelayLadder.levelCount).contains { !broker.readyMessages(in: DelayLadder.name(ofLevel: $0)).isEmpty }
    }
}
