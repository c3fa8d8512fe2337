import ArgumentParser

/// The kinds of measured work, named as in the figures.
enum Work: String, Codable, CaseIterable, ExpressibleByArgument {
    case publish
    case publishSerial = "publish-serial"
    /// As ``publish``, with as many messages in flight as ``enqueue`` has.
    case publishHundred = "publish-100"
    /// As ``publish``, by tasks that prefer the connection's thread.
    case publishOnExecutor = "publish-on-executor"
    /// As ``publishSerial``, by a task that prefers the connection's thread.
    case publishSerialOnExecutor = "publish-serial-on-executor"
    case consume
    case consumeMultiple = "consume-multiple"
    case enqueue
    case execute
    case latency
    case start
    /// The worker process that ``start`` starts.
    case firstJob = "first-job"

    /// The number of messages or jobs that the measurement takes if `count` were requested.
    func count(of count: Int) -> Int {
        switch self {
        case .publish, .publishHundred, .publishOnExecutor, .consume, .consumeMultiple, .enqueue, .execute: count
        case .publishSerial, .publishSerialOnExecutor: count / 50
        case .latency: min(count / 100, 1000)
        case .start, .firstJob: 1
        }
    }
}

/// The sizes shared by Warren's and C's measurements.
enum Load {
    /// The number of messages that await their confirm at a time.
    static let inFlight = 1000
    /// The number of deliveries unsettled at a time.
    static let prefetch = 200
    /// The size of a message's body in bytes.
    static let bodySize = 256
    /// The number of concurrent callers of enqueue, and of jobs that run at a time.
    static let callers = 100
    /// The rate at which latency is measured.
    static let jobsPerSecond = 100
}
