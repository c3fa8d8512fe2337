import Warren

/// The job: compute the SHA-256 of a file.
struct DigestFile: Job {
    static let name = "digest.file"
    static let queue: QueueName = "digest"
    /// Short enough to watch, and long enough to go through the broker's delay ladder.
    static let retry: RetryPolicy = .fixed(.seconds(1), attempts: 4)

    /// The file, by a path that is absolute, since workers run anywhere on the machine.
    var path: FilePath
    /// How many of the first attempts fail on purpose.
    var failures: Int?
}
