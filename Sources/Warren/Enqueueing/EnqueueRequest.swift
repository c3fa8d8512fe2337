public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// A job on its way to the broker: what an ``EnqueueMiddleware`` sees and may change.
public struct EnqueueRequest: Sendable {
    /// The job's id.
    public var id: String
    /// The job's name.
    public let name: String
    /// The queue it goes to.
    public var queue: QueueName
    /// The lane of the queue.
    public var lane: Lane
    /// When it is due; `nil` for at once.
    public var dueAt: Date?
    /// After when it is not to be started; `nil` for never.
    public var expiresAt: Date?
    /// How long an attempt may take, where it isn't for the job's type to say.
    public var timeLimits: TimeLimits = .none
    /// The id of the job that enqueues this one.
    public var parentID: String?
    /// The id of the first job of the workflow; without it, the job's own.
    public var rootID: String?
    /// Headers to add.
    ///
    /// Those that the protocol needs can't be replaced.
    public var headers: FieldTable
    /// When to give up.
    public var deadline: ContinuousClock.Instant
    /// The payload: a JSON object.
    public let payload: Data
}
