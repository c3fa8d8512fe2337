/// How a queue of the broker stands: one lane, a dead queue or a parked queue.
public struct LaneStatus: Sendable, Hashable, Codable {
    /// The job queue it belongs to.
    public var queue: String
    /// `high`, `normal`, `low`, `dead` or `parked`.
    public var lane: String
    /// The queue's own name on the broker.
    public var name: String
    /// False if the broker has no such queue; then the numbers are 0.
    public var exists: Bool
    /// How many messages wait.
    ///
    /// Those that workers hold unsettled are not counted: AMQP doesn't tell.
    public var ready: Int
    /// How many consumers it has.
    public var consumers: Int
}
