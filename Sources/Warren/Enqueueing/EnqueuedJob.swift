#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// A job that the broker has taken, or the spool: what one needs to find it again.
public struct EnqueuedJob: Sendable, Hashable {
    /// The job's id.
    public let id: String
    /// The job's name.
    public let name: String
    /// The queue it went to.
    public let queue: QueueName
    /// The lane of the queue.
    public let lane: Lane
    /// When it is due; `nil` for at once.
    public let dueAt: Date?
    /// After when it is not started any more; `nil` for never.
    public let expiresAt: Date?
    /// Whether it is in the client's ``Spool``, because the broker couldn't take it; its ``JobClient/replayer`` sends it later.
    public let isSpooled: Bool

    /// A handle with these fields.
    public init(
        id: String,
        name: String,
        queue: QueueName,
        lane: Lane,
        dueAt: Date? = nil,
        expiresAt: Date? = nil,
        isSpooled: Bool = false
    ) {
        self.id = id
        self.name = name
        self.queue = queue
        self.lane = lane
        self.dueAt = dueAt
        self.expiresAt = expiresAt
        self.isSpooled = isSpooled
    }
}
