extension Ledger {
    /// A moment at which a fault ended.
    struct Mark: Sendable, Hashable {
        var time: Int64
        /// Whether only jobs count that were enqueued after it.
        var countsNewJobsOnly = false
    }

    /// How many seconds after a mark the first job was completed; `nil` if none was.
    func recovery(after mark: Mark) -> Double? {
        let first = completions.lazy.filter { counts($0, mark) }.map(\.time).min()
        return first.map { Double($0 - mark.time) / 1e6 }
    }

    /// How many seconds after a mark each worker completed its first job; workers that completed none are missing.
    func firstCompletions(after mark: Mark) -> [String: Double] {
        var first: [String: Double] = [:]
        for completion in completions where counts(completion, mark) {
            let seconds = Double(completion.time - mark.time) / 1e6
            first[completion.worker] = min(first[completion.worker] ?? .infinity, seconds)
        }
        return first
    }

    private func counts(_ completion: Completion, _ mark: Mark) -> Bool {
        guard completion.time >= mark.time else { return false }
        return !mark.countsNewJobsOnly || (confirmed[completion.id] ?? .min) >= mark.time
    }
}
