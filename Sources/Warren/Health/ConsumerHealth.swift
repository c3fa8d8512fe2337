/// How a worker's consumer of one lane is.
public struct ConsumerHealth: Sendable, Hashable, Codable {
    /// The job queue.
    public var queue: QueueName
    /// The name of the queue's lane.
    public var lane: String
    /// Whether the broker has the consumer registered now.
    public var isRegistered: Bool
    /// Whether the worker consumes nothing from it on purpose, which is no sign of trouble.
    public var isPaused: Bool

    /// Whether the consumer is as it should be.
    public var isInOrder: Bool { isRegistered || isPaused }
}
