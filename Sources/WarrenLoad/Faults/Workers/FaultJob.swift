import Warren

/// The job of the experiments: takes a while, and may take its process down.
struct FaultJob: Job {
    static let name = "warren-load.fault"
    static let queue: QueueName = "faults"
    static let retry: RetryPolicy = .none

    /// How long it takes.
    var milliseconds: Int
    /// How long it takes when it is delivered for the first time, if that is something else.
    var firstMilliseconds: Int?
    /// Whether it takes its process down.
    var crashes: Bool?
    /// Something to make it larger.
    var text: String?
}
