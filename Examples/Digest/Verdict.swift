/// Whether every enqueued job ended as it should: a pure function of the ledger, the results and the dead letters.
struct Verdict {
    /// Jobs that the broker confirmed.
    private(set) var enqueued = 0
    /// Jobs with a correct result.
    private(set) var succeeded = 0
    /// Jobs that failed at least once and were tried again.
    private(set) var retried = 0
    /// Jobs in the dead queue.
    private(set) var dead = 0
    /// Executions of a job that had been delivered before to a worker that did not settle it.
    private(set) var redelivered = 0
    /// Successful executions beyond a job's first, which at-least-once delivery allows.
    private(set) var repeated = 0
    /// Jobs with neither result nor dead letter, and files without a job.
    private(set) var lost: [String] = []
    /// Incorrect results.
    private(set) var wrong: [String] = []
    /// Dead letters that were not planted, and planted jobs without a dead letter.
    private(set) var deadWrongly: [String] = []
    /// Files whose names are not UTF-8, for which there can be no job.
    private(set) var leftOut = 0
    /// The time from the first enqueueing to the last result or dead letter.
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

    /// Compares each result with its job and with the sums.
    ///
    /// Returns the jobs all of whose results are correct.
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
        guard let entry else { return "it was not enqueued" }
        if entry.isPlanted { return "it was planted and cannot have succeeded" }
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

    /// The summary as one line of JSON.
    var line: String {
        """
        {"enqueued":\(enqueued),"succeeded":\(succeeded),"retried":\(retried),"dead":\(dead),"redelivered":\(redelivered),\
        "lost":\(lost.count),"wrong":\(wrong.count),"seconds":\((seconds * 10).rounded() / 10)}
        """
    }
}

/// The part of a dead letter that the verdict depends on.
struct DeadJob {
    var job: String
    var failures: Int
    /// The time of its death, in seconds since 1970.
    var at: Double?
}
