import Warren

/// When a worker's process has done enough.
struct RecyclingPolicy: Sendable, Hashable {
    /// How often a process looks whether its time has come.
    static let interval: Duration = .milliseconds(250)

    /// How many deliveries it may deal with; `nil` for any number.
    var jobs: Int?
    /// How many bytes of resident memory it may have; `nil` for any number.
    var memory: Int?

    var isNone: Bool { jobs == nil && memory == nil }

    /// Why the process should end now; `nil` if it shouldn't.
    func reason(deliveries: Int, memory used: Int?) -> String? {
        if let jobs, deliveries >= jobs { return "\(deliveries) jobs of \(jobs)" }
        if let memory, let used, used >= memory { return "\(used >> 20) MiB of memory of \(memory >> 20) MiB" }
        return nil
    }

    /// Waits until the process has done enough, and returns why; `nil` if the task was cancelled first.
    func whenDue(_ worker: Worker) async -> String? {
        while (try? await Task.sleep(for: Self.interval)) != nil {
            let used = memory == nil ? nil : ResidentMemory.current()
            if let reason = reason(deliveries: worker.counts.dealtWith, memory: used) { return reason }
        }
        return nil
    }
}

extension WorkerCounts {
    /// The deliveries for which a job's turn came.
    fileprivate var dealtWith: Int { succeeded + retried + dead + parked + expired }
}
