import Foundation
import Synchronization
import Warren

/// Enqueueing while there is no broker: it must come back in time, each time, and leave nothing behind.
struct EnqueueDeadline: Fault {
    /// How much the caller's memory may grow over all tries, in MiB.
    static let memoryLimit = 16.0
    private static let timeout: Duration = .milliseconds(100)

    let name = "enqueue-deadline"
    let summary = "broker stopped: enqueue fails within its deadline; memory of the caller over all tries"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        var load = JobLoad.standard(context)
        load.jobs = context.size(short: 200, long: 2_000)
        let tries = context.size(short: 2_000, long: 100_000)
        return try await Experiment.run(name, context, .init(broker: try await broker.url(), load: load)) {
            experiment in
            try await experiment.waitForJobs(context.size(short: 100, long: 1_000))
            try await experiment.enqueuer.pause()
            try await broker.stop()
            // The first tenth gives the allocator what it keeps.
            var lateness = try await fail(experiment, tries / 10, from: 0)
            let before = Memory.mebibytes("VmRSS")
            lateness = max(lateness, try await fail(experiment, tries - tries / 10, from: tries / 10))
            let after = Memory.mebibytes("VmRSS")
            experiment.figure("tries", Double(tries))
            experiment.figure("worst_late_ms", lateness / .milliseconds(1))
            experiment.figure("limit_ms", context.latenessLimit)
            experiment.owe(
                lateness / .milliseconds(1) <= context.latenessLimit,
                "an enqueue came back \(lateness) after its deadline of \(Self.timeout)"
            )
            if let before, let after {
                experiment.figure("rss_start_mib", before)
                experiment.figure("rss_end_mib", after)
                experiment.owe(after - before <= Self.memoryLimit, "the caller's memory grew by \(after - before) MiB")
            }
            async let isBack = broker.timeOfReturn()
            try await broker.start()
            experiment.mark(at: try await isBack, countsNewJobsOnly: true)
            experiment.enqueuer.resume()
        }
    }

    /// Tries to enqueue so often, 100 at a time, and returns how late the latest error came.
    private func fail(_ experiment: Experiment, _ count: Int, from first: Int) async throws -> Duration {
        let worst = Worst()
        await withDiscardingTaskGroup { group in
            for caller in 0..<Load.callers {
                group.addTask {
                    for number in stride(from: first + caller, to: first + count, by: Load.callers) {
                        if Task.isCancelled { return }
                        worst.note(await self.tryOnce(experiment, "try-\(number)"))
                    }
                }
            }
        }
        try Task.checkCancellation()
        return worst.lateness
    }

    private func tryOnce(_ experiment: Experiment, _ id: String) async -> Duration {
        let start = ContinuousClock.now
        let began = WallClock.now
        do {
            let job = FaultJob(milliseconds: 0)
            try await experiment.jobs.enqueue(job, queue: experiment.queue, id: id, timeout: Self.timeout)
            experiment.book.with { $0.confirm(id, begunAt: began) }
        } catch {
            if let error = error as? WarrenError, !error.outcomeIsKnown { experiment.book.with { $0.doubt(id) } }
        }
        return ContinuousClock.now - start - Self.timeout
    }
}

/// The latest of all.
private final class Worst: Sendable {
    private let value = Mutex(Duration.zero)

    var lateness: Duration { value.withLock { $0 } }
    func note(_ lateness: Duration) { value.withLock { $0 = max($0, lateness) } }
}
