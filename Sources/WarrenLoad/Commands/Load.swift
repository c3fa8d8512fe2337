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
