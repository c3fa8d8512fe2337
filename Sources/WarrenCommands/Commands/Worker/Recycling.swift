import AMQP
import ArgumentParser
import Foundation
import Logging
import Synchronization
import Warren

/// The options that make the `worker` command replace a process that still works.
struct RecyclingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Shut a process down cleanly after about this many deliveries; with --processes a new one takes its place.",
            valueName: "count"
        )
    )
    var recycleAfterJobs: Int?

    @Option(
        help: ArgumentHelp(
            "Shut a process down cleanly when its resident memory reaches about this size, such as 512MiB (Linux only).",
            discussion:
                "Each process lowers its limits by a random amount of up to a tenth, so that not all are replaced at once.",
            valueName: "size"
        )
    )
    var recycleAtMemory: ByteCountArgument?

    func validate() throws {
        if let count = recycleAfterJobs, count < 1 {
            throw ValidationError("--recycle-after-jobs must be at least 1.")
        }
        if recycleAtMemory != nil, ResidentMemory.current() == nil {
            throw ValidationError("--recycle-at-memory needs /proc, which this system does not have.")
        }
    }

    /// Returns the limits, lowered by a random amount.
    func policy(using generator: inout some RandomNumberGenerator) -> RecyclingPolicy {
        let factor = Double.random(in: 0.9...1, using: &generator)
        return RecyclingPolicy(
            jobs: recycleAfterJobs.map { max(1, Int((Double($0) * factor).rounded())) },
            memory: recycleAtMemory.map { max(1, Int(Double($0.bytes) * factor)) }
        )
    }
}

/// The limits at which a worker process is recycled.
struct RecyclingPolicy: Sendable, Hashable {
    /// The interval at which a process checks its limits.
    static let interval: Duration = .milliseconds(250)

    /// The number of deliveries; `nil` for no limit.
    var jobs: Int?
    /// The resident memory in bytes; `nil` for no limit.
    var memory: Int?

    /// True if there is no limit.
    var isEmpty: Bool { jobs == nil && memory == nil }

    /// Returns the reason to recycle the process now; `nil` if no limit is reached.
    func reason(deliveries: Int, memory used: Int?) -> String? {
        if let jobs, deliveries >= jobs { return "\(deliveries) jobs of \(jobs)" }
        if let memory, let used, used >= memory { return "\(used >> 20) MiB of memory of \(memory >> 20) MiB" }
        return nil
    }

    /// Waits until a limit is reached, and returns the reason; `nil` if the task is cancelled first.
    func waitUntilDue(_ worker: Worker) async -> String? {
        while (try? await Task.sleep(for: Self.interval)) != nil {
            let used = memory == nil ? nil : ResidentMemory.current()
            if let reason = reason(deliveries: worker.counts.processed, memory: used) { return reason }
        }
        return nil
    }
}

extension WorkerCounts {
    /// The number of deliveries that were run or otherwise disposed of; those requeued don't count.
    fileprivate var processed: Int { succeeded + retried + dead + parked + expired }
}

/// The resident memory of this process.
enum ResidentMemory {
    /// Returns the memory in bytes; `nil` on a system without `/proc`.
    static func current() -> Int? {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
        return parse(status)
    }

    /// Finds `VmRSS`, which proc(5) gives in KiB.
    static func parse(_ status: String) -> Int? {
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }) else { return nil }
        return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 << 10 }
    }
}

/// Waits for the reasons other than a signal to shut a worker process down: its supervisor asks for it, or a recycling
/// limit is reached.
final class StopRequest: Sendable {
    private let isSupervised: Bool
    private let policy: RecyclingPolicy
    private let logger: Logger
    private let isDueForRecycling = Atomic(false)

    init(isSupervised: Bool, policy: RecyclingPolicy, logger: Logger) {
        self.isSupervised = isSupervised
        self.policy = policy
        self.logger = logger
    }

    /// True if a recycling limit was reached.
    var isRecycled: Bool { isDueForRecycling.load(ordering: .acquiring) }

    /// Waits for a reason to shut down.
    ///
    /// Returns false if there can be none, or the task is cancelled first.
    func wait(for worker: Worker) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            if isSupervised { group.addTask { await SupervisorLink().waitUntilClosed() } }
            if !policy.isEmpty { group.addTask { await self.recycle(worker) } }
            let isRequested = await group.next() ?? false
            group.cancelAll()
            return isRequested
        }
    }

    private func recycle(_ worker: Worker) async -> Bool {
        guard let reason = await policy.waitUntilDue(worker) else { return false }
        logger.info("Recycling worker process", metadata: [LogKey.reason: "\(reason)"])
        isDueForRecycling.store(true, ordering: .releasing)
        return true
    }
}
