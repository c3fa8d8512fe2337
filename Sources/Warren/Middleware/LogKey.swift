/// The keys of all log metadata, so that they are the same everywhere.
enum LogKey {
    static let job = "job"
    static let jobID = "job-id"
    static let attempt = "attempt"
    static let queue = "queue"
    static let lane = "lane"
    static let worker = "worker"
    static let outcome = "outcome"
    static let reason = "reason"
    static let error = "error"
    static let delay = "delay"
    static let duration = "duration"
    static let difference = "difference"
}
