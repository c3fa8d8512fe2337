/// A queue that a worker takes jobs from, with its settings.
public struct WorkerQueue: Sendable, Hashable {
    /// The queue.
    public var name: QueueName
    /// The number of its jobs that run at once in this worker; `nil` for the worker's own setting.
    public var concurrency: Int?
    /// The number of unsettled deliveries of each priority lane that the broker may have outstanding with this worker,
    /// running jobs included.
    ///
    /// `nil` for twice the concurrency: enough that a slot never waits for the network, and few enough that other
    /// workers get the jobs that this one hasn't started.
    public var prefetch: Int?
    /// The order in which jobs are taken from the queue's priority lanes.
    public var lanes: LanePolicy
    /// The rule for pausing the queue when all its jobs fail; `nil` for never, so that failing jobs drain as fast as
    /// any.
    public var circuitBreaker: CircuitBreakerPolicy?

    /// Creates a queue with its settings.
    public init(
        _ name: QueueName,
        concurrency: Int? = nil,
        prefetch: Int? = nil,
        lanes: LanePolicy = .strict,
        circuitBreaker: CircuitBreakerPolicy? = nil
    ) {
        self.name = name
        self.concurrency = concurrency
        self.prefetch = prefetch
        self.lanes = lanes
        self.circuitBreaker = circuitBreaker
    }

    func slots(default standard: Int) -> Int { concurrency ?? standard }

    func prefetch(default standard: Int) -> UInt16 {
        UInt16(clamping: prefetch ?? 2 * slots(default: standard))
    }

    /// Checks name and numbers.
    ///
    /// - Throws: ``WarrenError`` with `invalidQueueName` or `invalidConfiguration`.
    func validate(default standard: Int) throws(WarrenError) {
        try name.validate()
        guard (1...10_000).contains(slots(default: standard)), prefetch.map({ (1...65_535).contains($0) }) ?? true
        else {
            throw WarrenError(
                .invalidConfiguration,
                "The worker's queue '\(name)' needs a concurrency of 1 to 10,000 and a prefetch of 1 to 65,535."
            )
        }
        guard circuitBreaker?.isValid ?? true else {
            throw WarrenError(
                .invalidConfiguration,
                """
                The circuit breaker of the worker's queue '\(name)' needs at least one failure, a pause above zero, and a longest pause \
                that isn't shorter.
                """
            )
        }
    }
}

extension WorkerQueue: ExpressibleByStringLiteral {
    /// Creates a queue with the worker's settings.
    public init(stringLiteral name: String) { self.init(QueueName(name)) }
}
