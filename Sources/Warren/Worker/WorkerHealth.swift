#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// A worker's health: the content of a health file and of the answers to probes.
///
/// In JSON, `at` follows the encoder's date strategy, and unknown values are left out.
public struct WorkerHealth: Sendable, Hashable, Codable {
    /// A worker's stage of life.
    public enum Phase: String, Sendable, Hashable, Codable {
        /// ``Worker/run()`` has not been called yet.
        case waiting
        /// It runs, or tries to.
        case working
        /// It is shutting down and waits for running jobs.
        case stopping
        /// It ended after a shutdown.
        case stopped
        /// It ended because it could not continue.
        case failed

        /// The reason, in a sentence, why a worker in this phase takes no jobs.
        var sentence: String {
            switch self {
            case .waiting: "The worker has not started yet."
            case .working: "The worker is working."
            case .stopping: "The worker is stopping."
            case .stopped: "The worker has stopped."
            case .failed: "The worker could not continue and has stopped."
            }
        }
    }

    /// The worker's name.
    public var worker: String
    /// The time of this report, by the worker's wall clock.
    public var at: Date
    /// The worker's stage of life.
    public var phase: Phase
    /// True if it takes jobs: connected, consuming from all its queues, and not stopping.
    public var isReady: Bool
    /// True if it should be left running: its process works, and it has not ended because it could not continue.
    ///
    /// The broker has no part in it: a restart would mend nothing there, and would interrupt jobs that still run. A
    /// process that hangs shows in an old ``at``, or in no answer to a probe.
    public var isLive: Bool
    /// The reasons why it isn't ready, one sentence each; empty if it is.
    public var problems: [String]
    /// The state of the publishing connection.
    public var publishing: String
    /// The state of the consuming connection.
    public var consuming: String
    /// The time since the broker last sent anything, heartbeats included, in seconds; `nil` if nothing was received
    /// yet, or if there is no connection to receive from.
    public var secondsSinceLastReceived: Double?
    /// The consumers, one for each priority lane of each queue.
    public var consumers: [ConsumerHealth]
    /// The number of running jobs.
    public var runningJobs: Int
}

/// The health of a worker's consumer of one priority lane.
public struct ConsumerHealth: Sendable, Hashable, Codable {
    /// The job queue.
    public var queue: QueueName
    /// The name of the queue's lane.
    public var lane: String
    /// True if the consumer is registered at the broker now.
    public var isRegistered: Bool
    /// True if the worker deliberately doesn't consume, which is not a problem.
    public var isPaused: Bool
    /// The reason why it could not be registered the last time; `nil` if it could.
    public var problem: String?

    /// True if the consumer is registered or deliberately paused.
    public var isHealthy: Bool { isRegistered || isPaused }
}
