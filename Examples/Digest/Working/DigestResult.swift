/// A line of a results file: one execution of a job.
struct DigestResult: Codable, Sendable {
    var path: FilePath
    /// The SHA-256 in hexadecimal digits; `nil` if the attempt failed.
    var digest: String?
    /// The job's id.
    var job: String
    var worker: String
    /// Which attempt it was, from 1.
    var attempt: Int
    /// True if the broker had delivered the job before, to a worker that didn't settle it.
    var redelivered: Bool
    /// When, in seconds since 1970.
    var at: Double
}
