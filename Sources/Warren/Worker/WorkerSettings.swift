#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The behaviour of a worker, apart from the queues it works on.
public struct WorkerSettings: Sendable, Hashable {
    /// The worker's name in logs and failure records.
    public var name: String
    /// True if the worker declares its queues and the delay ladder when it starts, and again after a queue was deleted.
    public var declaresTopology: Bool
    /// The time from the beginning of shutdown to the end of ``Worker/run()``, whatever jobs and broker do.
    ///
    /// Running jobs may take it to finish, less ``cancellationGrace`` and a second for closing; then they are
    /// cancelled. The default, 25 s, is below the 30 s after which Kubernetes and ECS kill a process.
    public var shutdownTimeout: Duration
    /// The time that cancelled jobs have to end; then they are requeued, and the worker ends without them.
    ///
    /// It is at most half a second if the worker has to end at once, because the task of ``Worker/run()`` was
    /// cancelled.
    public var cancellationGrace: Duration
    /// The pause between two searches for parked jobs whose names the worker knows; it grows up to tenfold while none
    /// are found.
    public var unparkingInterval: Duration
    /// The time the broker waits for a delivery to be settled before it closes the channel and delivers again; `nil` if
    /// it waits without limit.
    ///
    /// The time limits of jobs are checked against it.
    ///
    /// RabbitMQ's default is 30 minutes (`consumer_timeout` in rabbitmq.conf, in milliseconds).
    public var consumerTimeout: Duration?
    /// The number of workers that a job may take down from quarantine before it is dead, with the reason
    /// ``DeadReason/crashed``.
    ///
    /// At least 1. Crashes before it was quarantined aren't counted, because many jobs ran beside it.
    public var crashLimit: Int

    /// The standard settings: the worker is named after its host and process id.
    public init(
        name: String? = nil,
        declaresTopology: Bool = true,
        shutdownTimeout: Duration = .seconds(25),
        cancellationGrace: Duration = .seconds(2),
        unparkingInterval: Duration = .seconds(30),
        consumerTimeout: Duration? = .seconds(1_800),
        crashLimit: Int = 3
    ) {
        self.name = name ?? Self.nameOfThisProcess
        self.declaresTopology = declaresTopology
        self.shutdownTimeout = shutdownTimeout
        self.cancellationGrace = cancellationGrace
        self.unparkingInterval = unparkingInterval
        self.consumerTimeout = consumerTimeout
        self.crashLimit = max(1, crashLimit)
    }

    /// The time for which running jobs may continue after shutdown has begun.
    var timeForRunningJobs: Duration { max(.zero, shutdownTimeout - cancellationGrace - Self.timeForClosing) }

    /// The time for closing consumers when all jobs have ended or were given up.
    static let timeForClosing = Duration.seconds(1)

    /// The host name and process id, which tell the workers of one cluster apart.
    private static let nameOfThisProcess: String = {
        let process = ProcessInfo.processInfo
        return "\(process.hostName)-\(process.processIdentifier)"
    }()
}
