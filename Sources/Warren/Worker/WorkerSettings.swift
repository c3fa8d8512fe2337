#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// How a worker behaves, apart from what it works on.
public struct WorkerSettings: Sendable, Hashable {
    /// The worker's name in logs and failure records.
    public var name: String
    /// Whether the worker declares its queues and the delay ladder when it starts, and again after a queue was deleted.
    public var declaresTopology: Bool
    /// How long running jobs may go on after shutdown has begun; then they are cancelled.
    public var shutdownTimeout: Duration
    /// How long cancelled jobs have to end; then they are handed back, and the worker ends without them.
    ///
    /// It is at most half a second where the worker is told to end at once, by cancellation of the task of ``Worker/run()``.
    public var cancellationGrace: Duration
    /// How often the worker looks for parked jobs whose names it knows; after looks in vain up to ten times as seldom.
    public var unparkingInterval: Duration
    /// How long the broker waits for a delivery to be settled before it closes the channel and delivers again, against which jobs' time
    /// limits are checked; `nil` if it waits for ever.
    ///
    /// RabbitMQ's default is 30 minutes (`consumer_timeout` in rabbitmq.conf, which is in milliseconds).
    public var consumerTimeout: Duration?
    /// How long the worker may be without its broker or a consumer and still count as live: see ``WorkerHealth/isLive``.
    public var livenessGrace: Duration
    /// How many processes a suspected job may take down, alone in each, before it is quarantined: it goes to the dead queue with the reason
    /// ``DeadReason/crashed``.
    ///
    /// Suspected is a job that comes back for the second time without having been settled (on a classic queue: for the first time). What
    /// it did until then isn't counted, because other jobs ran beside it. At least 1.
    public var crashLimit: Int

    /// The standard settings: the worker is named after host and process.
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
        self.name = name ?? WorkerName.ofThisProcess
        self.declaresTopology = declaresTopology
        self.shutdownTimeout = shutdownTimeout
        self.cancellationGrace = cancellationGrace
        self.unparkingInterval = unparkingInterval
        self.consumerTimeout = consumerTimeout
        self.livenessGrace = livenessGrace
        self.crashLimit = max(1, crashLimit)
    }
}

enum WorkerName {
    /// Host and process id, which tell workers of one cluster apart.
    static let ofThisProcess: String = {
        let process = ProcessInfo.processInfo
        return "\(process.hostName)-\(process.processIdentifier)"
    }()
}
