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

/// The broker stopped in order and started again.
struct BrokerRestarted: Fault {
    let name = "broker-restarted"
    let summary = "broker stopped and started"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await BrokerOutage(name: name) { try await $0.stop() }.run(context)
    }
}

/// The broker's process killed, and started again.
struct BrokerKilled: Fault {
    let name = "broker-killed"
    let summary = "broker's node killed by `kill -9`, and started"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await BrokerOutage(name: name) { try await $0.kill(node: 1) }.run(context)
    }
}

/// The broker stopped for a while, and started again.
struct BrokerAway: Fault {
    /// How soon work has to go on when the broker is back.
    static let limit = 2.0

    let name = "broker-away"
    let summary = "broker stopped for a minute"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await BrokerOutage(name: name, pause: context.size(short: .seconds(10), long: .seconds(60))) {
            try await $0.stop()
        }
        .run(context) { experiment, ledger in
            let recovery = experiment.marks.last.flatMap { ledger.recovery(after: $0) } ?? .infinity
            experiment.figure("limit_s", Self.limit)
            experiment.owe(
                recovery <= Self.limit,
                "work went on \(FaultReport.number(recovery)) s after the broker's return"
            )
        }
    }
}

/// What the faults have in common that take the whole broker away.
struct BrokerOutage {
    let name: String
    var pause: Duration = .zero
    let end: @Sendable (FaultBroker) async throws -> Void

    /// The recovery counts from the moment at which the broker takes connections, and ends with a job enqueued after that.
    func run(
        _ context: FaultContext,
        judge: (Experiment, Ledger) -> Void = { _, _ in }
    ) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let setup = Experiment.Setup(broker: try await broker.url(), load: .standard(context))
        return try await Experiment.run(name, context, setup) { experiment in
            try await experiment.waitForJobs(context.size(short: 200, long: 5_000))
            let went = ContinuousClock.now
            try await end(broker)
            try await Task.sleep(for: pause)
            async let isBack = broker.timeOfReturn()
            try await broker.start()
            experiment.mark(at: try await isBack, countsNewJobsOnly: true)
            experiment.figure("away_s", (ContinuousClock.now - went) / .seconds(1))
            try await experiment.waitForJobs(context.size(short: 100, long: 1_000))
        } judge: {
            judge($0, $1)
        }
    }
}

/// One node of three killed.
struct NodeKilled: Fault {
    let name = "node-killed"
    let summary = "one node of a three-node cluster killed by `kill -9`, quorum queues"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let cluster = try await context.brokers.cluster()
        let nodes = try await cluster.nodes()
        // Callers and workers begin with node 1, and so it has the queue's leader; the observer keeps out of its way.
        let setup = Experiment.Setup(
            broker: nodes[2].url,
            url: nodes.map(\.url).joined(separator: ","),
            load: .standard(context)
        )
        let report = try await Experiment.run(name, context, setup) { experiment in
            try await experiment.waitForJobs(context.size(short: 200, long: 5_000))
            try await cluster.kill(node: 1)
            experiment.mark(countsNewJobsOnly: true)
            try await experiment.waitForJobs(context.size(short: 200, long: 5_000))
        }
        try await context.brokers.end(cluster)
        return report
    }
}
