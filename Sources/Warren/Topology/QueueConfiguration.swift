public import AMQP

/// The configuration of a job queue: its type, its lanes, its limits.
///
/// The default is a quorum queue with the normal lane only.
public struct QueueConfiguration: Sendable, Hashable {
    /// The queue's name.
    public var name: QueueName
    /// The type: quorum, which replicates; or classic, for development on one node and for ``maxPriority``.
    public var kind: QueueKind
    /// The priority lanes, each a separate queue on the broker.
    ///
    /// The normal lane is always one of them.
    public var lanes: [Lane]
    /// The number of redeliveries, after requeues or crashes, after which the broker itself dead-letters a job.
    ///
    /// It is a safety net above the worker's own limits, so it must be well above the number of requeues in a rolling
    /// restart. Quorum queues only.
    public var deliveryLimit: Int
    /// The most jobs that may wait in a lane; beyond it the broker refuses more with `nacked`.
    ///
    /// `nil` for no limit.
    public var maxLength: Int?
    /// The number of priorities of a classic queue, 1 to 255; lanes are the better choice.
    public var maxPriority: Int?
    /// The most jobs with unknown names that may be parked (in the *parking-lot queue* of RabbitMQ users); more go to
    /// the dead queue.
    public var parkedLimit: Int
    /// The time for which a job may be parked; then it goes to the dead queue.
    public var parkedAge: Duration

    /// Creates a configuration with these settings.
    public init(
        _ name: QueueName,
        kind: QueueKind = .quorum,
        lanes: [Lane] = [.normal],
        deliveryLimit: Int = 100,
        maxLength: Int? = nil,
        maxPriority: Int? = nil,
        parkedLimit: Int = 100_000,
        parkedAge: Duration = .seconds(14 * 24 * 3_600)
    ) {
        self.name = name
        self.kind = kind
        self.lanes = Lane.all.filter { $0 == .normal || lanes.contains($0) }
        self.deliveryLimit = deliveryLimit
        self.maxLength = maxLength
        self.maxPriority = maxPriority
        self.parkedLimit = parkedLimit
        self.parkedAge = parkedAge
    }

    /// Checks name and limits.
    ///
    /// - Throws: ``WarrenError`` with `invalidQueueName` or `invalidConfiguration`.
    public func validate() throws(WarrenError) {
        try name.validate()
        let longest = lanes.map { $0.queue(of: name).utf8.count }.max() ?? 0
        guard longest <= DelayLadder.maximumDestinationLength else {
            throw WarrenError(
                .invalidQueueName,
                "The queue name '\(name)' is too long for its lanes: with a lane's name it may have 199 bytes at most."
            )
        }
        let problem: String? =
            if kind != .quorum && kind != .classic {
                "is of the type '\(kind.rawValue)': jobs need 'quorum' or 'classic'"
            } else if maxPriority != nil && kind != .classic {
                "sets maxPriority, which only classic queues have; use lanes"
            } else if deliveryLimit < 1 || parkedLimit < 1 || maxLength.map({ $0 < 1 }) ?? false
                || parkedAge < .seconds(1)
            {
                "has a limit below 1"
            } else if maxPriority.map({ !(1...255).contains($0) }) ?? false {
                "has a number of priorities that isn't 1 to 255"
            } else {
                nil
            }
        if let problem { throw WarrenError(.invalidConfiguration, "The configuration of queue '\(name)' \(problem).") }
    }
}
