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
    /// The time that running jobs may take to finish after shutdown has begun; then they are cancelled.
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
    /// The time the worker may be without its broker or a consumer and still count as live: see
    /// ``WorkerHealth/isLive``.
    public var livenessGrace: Duration
    /// The number of processes that a job may take down, running alone in each, before it is quarantined: it goes to
    /// the dead queue with the reason ``DeadReason/crashed``.
    ///
    /// At least 1.
    ///
    /// A job runs alone when it may be poison: when it was returned unsettled for the second time (on a classic queue,
    /// for the first time). Crashes before that aren't counted, because other jobs ran beside it.
    public var crashLimit: Int

    /// The standard settings: the worker is named after its host and process id.
    public init(
        name: String? = nil,
        declaresTopology: Bool = true,
        shutdownTimeout: Duration = .seconds(30),
        cancellationGrace: Duration = .seconds(2),
        unparkingInterval: Duration = .seconds(30),
        consumerTimeout: Duration? = .seconds(1_800),
        livenessGrace: Duration = .seconds(60),
        crashLimit: Int = 3
    ) {
        self.name = name ?? Self.nameOfThisProcess
        self.declaresTopology = declaresTopology
        self.shutdownTimeout = shutdownTimeout
        self.cancellationGrace = cancellationGrace
        self.unparkingInterval = unparkingInterval
        self.consumerTimeout = consumerTimeout
        self.livenessGrace = livenessGrace
        self.crashLimit = max(1, crashLimit)
    }

    /// The host name and process id, which tell the workers of one cluster apart.
    private static let nameOfThisProcess: String = {
        let process = ProcessInfo.processInfo
        return "\(process.hostName)-\(process.processIdentifier)"
    }()
}
