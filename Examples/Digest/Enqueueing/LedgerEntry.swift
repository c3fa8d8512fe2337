/// A job whose enqueueing the broker has confirmed: from here on, it may not get lost.
struct LedgerEntry: Codable, Sendable {
    /// The job's id.
    var job: String
    var path: FilePath
    /// True if the job was planted and can't succeed.
    var isPlanted: Bool
    /// When its enqueueing began, in seconds since 1970.
    var at: Double
}
