/// Whether every job that was enqueued came to the end it should: a pure function of what was enqueued and what there is now.
struct Verdict {
    /// Jobs that the broker confirmed.
    private(set) var enqueued = 0
    /// Jobs with a result that is right.
    private(set) var succeeded = 0
    /// Jobs that were tried more than once because they failed.
    private(set) var retried = 0
    /// Jobs in the dead queue.
    private(set) var dead = 0
    /// Executions of a job that had been delivered before, to a worker that didn't settle it.
    private(set) var redelivered = 0
    /// Executions beyond the first that succeeded: allowed, since jobs run at least once.
    private(set) var repeated = 0
    /// Jobs and files of which nothing is there to be seen: no result, no dead letter.
    private(set) var lost: [String] = []
    /// Results that are not what they should be.
    private(set) var wrong: [String] = []
    /// Dead letters that were not planted, and planted jobs that did not die.
    private(set) var deadWrongly: [String] = []
    /// Files whose names are not text, for which there can be no job.
    private(set) var leftOut = 0
    /// From the first enqueueing to the last result or death.
    private(set) var seconds = 0.0

    /// True if nothing is lost, nothing is wrong, and exactly the planted jobs are dead.
    var isGood: Bool { lost.isEmpty && wrong.isEmpty && deadWrongly.isEmpty }

    init(ledger: [LedgerEntry], results: [DigestResult], dead: [DeadJob], sums: Sums) {
        let jobs = Dictionary(ledger.map { ($0.job, $0) }) { first, _ in first }
        let deadJobs = Dictionary(dead.map { ($0.job, $0) }) { first, _ in first }
        enqueued = jobs.count
        self.dead = deadJobs.count
        let successes = results.filter { $0.digest != nil }
        let right = judge(successes, jobs, sums)
        succeeded = right.count
        redelivered = results.count { $0.redelivered }
        retried =
            Set(results.filter { $0.attempt > 1 }.map(\.job))
            .union(deadJobs.values.filter { $0.failures > 1 }.map(\.job)).count
        let finished = Set(successes.map(\.job)).union(deadJobs.keys)
        lost = ledger.filter { !finished.contains($0.job) }.map { "job \($0.job), \($0.path)" }
        findFilesWithoutJob(ledger, sums)
        deadWrongly = deadJobs.keys.filter { jobs[$0]?.isPlanted != true }.map { "job \($0) died and was not planted" }
        deadWrongly += ledger.filter { $0.isPlanted && deadJobs[$0.job] == nil }.map {
            "job \($0.job) was planted and did not die"
        }
        let end = (results.map(\.at) + deadJobs.values.compactMap(\.at)).max()
        if let begin = ledger.map(\.at).min(), let end { seconds = max(0, end - begin) }
    }

    /// Holds each result against its job and against the sums.
    ///
    /// Returns the jobs of which all results are right.
    private mutating func judge(
        _ results: [DigestResult],
        _ jobs: [String: LedgerEntry],
        _ sums: Sums
    ) -> Set<String> {
        var right: Set<String> = []
        var bad: Set<String> = []
        for result in results {
            if let problem = Self.problem(of: result, jobs[result.job], sums) {
                wrong.append("job \(result.job), \(result.path): \(problem)")
                bad.insert(result.job)
            } else if !right.insert(result.job).inserted {
                repeated += 1
            }
        }
        return right.subtracting(bad)
    }

    private static func problem(of result: DigestResult, _ entry: LedgerEntry?, _ sums: Sums) -> String? {
        guard let entry else { return "nobody enqueued it" }
        if entry.isPlanted { return "it was planted and can't have succeeded" }
        if entry.path != result.path { return "it was enqueued for \(entry.path)" }
        guard let digest = sums.digests[result.path] else { return "sha256sum found no such file" }
        return digest == result.digest ? nil : "sha256sum says \(digest), and the worker \(result.digest ?? "nothing")"
    }

    private mutating func findFilesWithoutJob(_ ledger: [LedgerEntry], _ sums: Sums) {
        let paths = Set(ledger.map(\.path))
        for path in sums.digests.keys where !paths.contains(path) {
            if path.isText { lost.append("file \(path), for which there is no job") } else { leftOut += 1 }
        }
    }

    /// The one line of JSON that sums it up.
    var line: String {
        """
        {"enqueued":\(enqueued),"succeeded":\(succeeded),"retried":\(retried),"dead":\(dead),"redelivered":\(redelivered),\
        "lost":\(lost.count),"wrong":\(wrong.count),"seconds":\((seconds * 10).rounded() / 10)}
        """
    }
}
