extension Ledger {
    /// A moment at which a fault ended.
    struct Mark: Sendable, Hashable {
        var time: Int64
        /// Whether only jobs count that were enqueued after it.
        var countsNewJobsOnly = false
    }

    /// How many seconds after a mark the first job was completed; `nil` if none was.
    func recovery(after mark: Mark) -> Double? {
        let first = completions.lazy
            .filter { $0.time >= mark.time }
            .filter { !mark.countsNewJobsOnly || (confirmed[$0.id] ?? .min) >= mark.time }
            .map(\.time).min()
        return first.map { Double($0 - mark.time) / 1e6 }
    }

    /// How many seconds after a time each worker completed its first job; workers that completed none are missing.
    func firstCompletions(since time: Int64) -> [String: Double] {
        var first: [String: Double] = [:]
        for completion in completions where completion.time >= time {
            let seconds = Double(completion.time - time) / 1e6
            first[completion.worker] = min(first[completion.worker] ?? .infinity, seconds)
        }
        return first
    }
}
