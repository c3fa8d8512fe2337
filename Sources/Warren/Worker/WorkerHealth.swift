#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// How a worker is: what a health file holds and probes answer.
///
/// In JSON, `at` is in the encoder's way of dates, and what is unknown is left out.
public struct WorkerHealth: Sendable, Hashable, Codable {
    /// Where a worker is in its life.
    public enum Phase: String, Sendable, Hashable, Codable {
        /// ``Worker/run()`` was not called yet.
        case waiting
        /// It runs, or tries to.
        case working
        /// It was told to stop and waits for running jobs.
        case stopping
        /// It ended as it was told.
        case stopped
        /// It ended because it could not go on.
        case failed
    }

    /// The worker's name.
    public var worker: String
    /// When this was found, by the worker's wall clock.
    public var at: Date
    /// Where the worker is in its life.
    public var phase: Phase
    /// Whether it takes jobs: connected, consuming from all its queues, and not stopping.
    public var isReady: Bool
    /// Whether it is worth keeping: it was heard of by the broker and consuming at some time within ``WorkerSettings/livenessGrace``, or
    /// started or began to stop.
    ///
    /// A worker that isn't live should be started again.
    public var isLive: Bool
    /// What keeps it from being ready, one sentence each; empty if it is.
    public var problems: [String]
    /// The state of the connection that publishes.
    public var publishing: String
    /// The state of the connection that consumes.
    public var consuming: String
    /// How long ago the broker sent anything, heartbeats included, in seconds; `nil` if nothing was heard yet or there is nothing to hear.
    public var secondsSinceLastReceived: Double?
    /// The consumers, one for each lane of each queue.
    public var consumers: [ConsumerHealth]
    /// How many jobs run.
    public var runningJobs: Int
}

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

/// Remembers when a worker was last in order, and decides whether it still counts as live.
struct Liveness: Sendable {
    private var lastInOrder: ContinuousClock.Instant?

    /// Notes how the worker is, and returns whether it counts as live.
    ///
    /// The first look counts as the start.
    mutating func note(isInOrder: Bool, at now: ContinuousClock.Instant, grace: Duration) -> Bool {
        guard !isInOrder, let last = lastInOrder else {
            lastInOrder = max(lastInOrder ?? now, now)
            return true
        }
        return last.duration(to: now) <= grace
    }
}
