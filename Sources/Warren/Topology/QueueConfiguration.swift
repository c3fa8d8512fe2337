public import AMQP

/// How a job queue is made: its type, its lanes, its limits.
///
/// What isn't said is the default: a quorum queue with the normal lane.
public struct QueueConfiguration: Sendable, Hashable {
    /// The queue.
    public var name: QueueName
    /// Quorum, which replicates; or classic, for development on one node and for ``maxPriority``.
    public var kind: QueueKind
    /// The lanes, each a queue of its own on the broker.
    ///
    /// The normal lane is always one of them.
    public var lanes: [Lane]
    /// After how many returns, by worker or crash, the broker itself dead-letters a job: the net under a worker's own
    /// limits, so it stands well above any number of hand-backs in a rolling restart.
    ///
    /// Quorum queues only.
    public var deliveryLimit: Int
    /// How many jobs may wait in a lane; beyond it `enqueue` is refused with `nacked`.
    ///
    /// `nil` for no limit.
    public var maxLength: Int?
    /// How many priorities a classic queue has, 1 to 255; lanes are the better choice.
    public var maxPriority: Int?
    /// How many jobs that no worker knows may be parked; one more goes to the dead queue.
    public var parkedLimit: Int
    /// How long a job may be parked; then it goes to the dead queue.
    public var parkedAge: Duration

    /// A queue with these settings.
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
                "The queue name '\(name)' is too long for its lanes: with a lane's name it may have 199 bytes."
            )
        }
        let problem: String? =
            if kind != .quorum && kind != .classic {
                "is of the type '\(kind.rawValue)': jobs need 'quorum' or 'classic'"
            } else if maxPriority != nil && kind != .classic {
                "asks for x-max-priority, which only classic queues have; use lanes"
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
