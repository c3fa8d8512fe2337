/// A queue that a worker takes jobs from, and how many at a time.
public struct WorkerQueue: Sendable, Hashable {
    /// The queue.
    public var name: QueueName
    /// How many of its jobs run at once in this worker; `nil` for the worker's own setting.
    public var concurrency: Int?
    /// How many deliveries of a lane the broker may have outstanding with this worker, those that run included.
    ///
    /// `nil` for twice the concurrency: enough that a slot never waits for the network, and little enough that another worker can have
    /// what this one hasn't begun.
    public var prefetch: Int?
    /// In which order jobs are taken from the queue's lanes.
    public var lanes: LanePolicy
    /// When to stop taking jobs because all fail; `nil` for never, so that a storm of failing jobs drains as fast as any.
    public var circuitBreaker: CircuitBreakerPolicy?

    /// A queue with its settings.
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

    /// Checks the numbers.
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
                The circuit breaker of the worker's queue '\(name)' needs at least one failure, a pause of more than nothing, and a longest \
                pause that isn't shorter.
                """
            )
        }
    }
}

extension WorkerQueue: ExpressibleByStringLiteral {
    /// A queue with the worker's settings.
    public init(stringLiteral name: String) { self.init(QueueName(name)) }
}
