import ArgumentParser

/// What is measured; the names are those of the figures.
enum Work: String, Codable, CaseIterable, ExpressibleByArgument {
    case publish
    case publishSerial = "publish-serial"
    case consume
    case consumeMultiple = "consume-multiple"
    case enqueue
    case execute
    case latency
    case start
    /// The worker process that ``start`` starts.
    case firstJob = "first-job"

    /// How many messages or jobs of the number that was asked for the measurement takes.
    func count(of count: Int) -> Int {
        switch self {
        case .publish, .consume, .consumeMultiple, .enqueue, .execute: count
        case .publishSerial: count / 50
        case .latency: min(count / 100, 1000)
        case .start, .firstJob: 1
        }
    }
}

/// The sizes that Warren's and C's measurements have in common.
enum Load {
    /// How many messages wait for their confirm at a time.
    static let inFlight = 1000
    /// How many deliveries are unsettled at a time.
    static let prefetch = 200
    /// The size of a message's body in bytes.
    static let bodySize = 256
    /// How many callers enqueue at a time, and how many jobs run at a time.
    static let callers = 100
    /// The rate at which latency is measured.
    static let jobsPerSecond = 100
}
