import ArgumentParser
import Foundation
import Warren

/// When the `worker` command replaces a process that still works.
struct RecyclingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "End a process in order after it dealt with about so many deliveries; with --processes a new one follows.",
            valueName: "count"
        )
    )
    var recycleAfterJobs: Int?

    @Option(
        help: ArgumentHelp(
            "End a process in order when it has about so much resident memory, such as 512MiB (Linux).",
            discussion: "Each process picks a limit up to a tenth lower, so that not all are replaced at once.",
            valueName: "size"
        )
    )
    var recycleAtMemory: ByteCountArgument?

    func validate() throws {
        if let count = recycleAfterJobs, count < 1 {
            throw ValidationError("--recycle-after-jobs must be 1 or more.")
        }
        if recycleAtMemory != nil, ResidentMemory.current() == nil {
            throw ValidationError("--recycle-at-memory needs /proc, which this system doesn't have.")
        }
    }

    /// The limits, somewhat random.
    func policy(using generator: inout some RandomNumberGenerator) -> RecyclingPolicy {
        let factor = Double.random(in: 0.9...1, using: &generator)
        return RecyclingPolicy(
            jobs: recycleAfterJobs.map { max(1, Int((Double($0) * factor).rounded())) },
            memory: recycleAtMemory.map { max(1, Int(Double($0.bytes) * factor)) }
        )
    }
}

/// When a worker's process has done enough.
struct RecyclingPolicy: Sendable, Hashable {
    /// How often a process looks whether its time has come.
    static let interval: Duration = .milliseconds(250)

    /// How many deliveries it may deal with; `nil` for any number.
    var jobs: Int?
    /// How many bytes of resident memory it may have; `nil` for any number.
    var memory: Int?

    var isEmpty: Bool { jobs == nil && memory == nil }

    /// Why the process should end now; `nil` if it shouldn't.
    func reason(deliveries: Int, memory used: Int?) -> String? {
        if let jobs, deliveries >= jobs { return "\(deliveries) jobs of \(jobs)" }
        if let memory, let used, used >= memory { return "\(used >> 20) MiB of memory of \(memory >> 20) MiB" }
        return nil
    }

    /// Waits until the process has done enough, and returns why; `nil` if the task was cancelled first.
    func waitUntilDue(_ worker: Worker) async -> String? {
        while (try? await Task.sleep(for: Self.interval)) != nil {
            let used = memory == nil ? nil : ResidentMemory.current()
            if let reason = reason(deliveries: worker.counts.processed, memory: used) { return reason }
        }
        return nil
    }
}

extension WorkerCounts {
    /// The deliveries for which a job's turn came.
    fileprivate var processed: Int { succeeded + retried + dead + parked + expired }
}

/// How much memory this process has resident.
enum ResidentMemory {
    /// In bytes; `nil` where the system has no `/proc`.
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
