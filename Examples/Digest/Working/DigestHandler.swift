import Warren

/// Computes a file's SHA-256 and writes it down; failed attempts too.
struct DigestHandler: JobHandler {
    let results: ResultsFile
    /// How long each job takes at least.
    let pace: Duration

    func handle(_ job: DigestFile, context: JobContext) async throws {
        let digest: String
        if pace > .zero { try await Task.sleep(for: pace) }
        do {
            guard context.attempt > job.failures ?? 0 else { throw PlannedFailure(attempt: context.attempt) }
            digest = try await FileDigest.sha256(of: job.path)
        } catch {
            try await results.append(job.path, nil, context)
            throw error
        }
        // Written before the job is acknowledged. A worker that dies in between does it twice, and never not at all.
        try await results.append(job.path, digest, context)
    }
}

/// A failure that was asked for when the job was enqueued.
struct PlannedFailure: Error, CustomStringConvertible {
    let attempt: Int
    var description: String { "Attempt \(attempt) fails, as planned." }
}
