import AMQP
import Warren

/// The facts that `doctor` has read, for its checks to judge.
///
/// A value.
struct DoctorFacts: Sendable {
    /// The broker.
    var broker: BrokerIdentity
    /// The application's topology.
    var topology: Topology
    /// The queues to check.
    var queues: [QueueName]
    /// The comparison of the plan with the broker.
    var inspection = TopologyInspection()
    /// The state of lanes, dead queues and parking-lot queues.
    var statuses: [LaneStatus] = []
    /// The number of messages that the delay ladder could not deliver.
    var unrouted = 0
    /// The limits of the application's jobs.
    var jobs: [JobLimits] = []
    /// The result of publishing a test message.
    var publishing = PublishTrial.confirmed
    /// The facts from the management API; `nil` if it wasn't used.
    var management: ManagementFacts?
    /// Facts that only the command line can supply.
    var assumptions = DoctorAssumptions()

    /// The behaviour of the broker's version.
    var features: BrokerFeatures { BrokerFeatures(broker.version) }

    /// The exchanges, queues and bindings that must exist.
    var plan: TopologyPlan { topology.plan(for: queues, broker: broker.version) }

    /// All differences of an exchange or queue from the plan.
    func differences(of name: String) -> [TopologyDifference] { inspection.differences.filter { $0.name == name } }

    /// Returns whether an exchange or queue of the plan is missing.
    func isMissing(_ name: String) -> Bool { inspection.missing.contains { $0.name == name } }

    /// Each lane's queue with the configuration of its job queue, if it exists.
    var lanes: [(name: String, configuration: QueueConfiguration)] {
        queues.flatMap { queue in
            let configuration = topology.configuration(of: queue)
            return configuration.lanes.map { ($0.queue(of: queue), configuration) }
        }.filter { !isMissing($0.0) }
    }
}

/// Facts that the command line supplies because no broker reports them.
struct DoctorAssumptions: Sendable {
    /// The `consumer_timeout` in the broker's `rabbitmq.conf`; `nil` for the version's default.
    var consumerTimeout: Duration?
    /// The shutdown timeout of the workers.
    var shutdownTimeout: Duration = .seconds(25)
}

/// The result of publishing a test message to a temporary queue.
enum PublishTrial: Sendable, Hashable {
    /// The broker confirmed it.
    case confirmed
    /// The broker has blocked publishers, for this reason.
    case blocked(reason: String)
    /// The broker didn't confirm it in time, and gave no reason.
    case unanswered
    /// It could not be published.
    case notTried(reason: String)
}

extension DoctorFacts {
    /// The role of a queue of the plan.
    func role(of name: String) -> ArgumentMeaning.QueueRole {
        if Self.ladderNames.contains(name) { return .ladder }
        if queues.contains(where: { $0.dead == name }) { return .dead }
        return queues.contains { $0.parked == name } ? .parked : .jobs
    }

    /// The exchanges and queues of the delay ladder.
    static let ladderNames = Set(DelayLadder.plan.exchanges + DelayLadder.plan.queues)

    /// The type of a queue of the plan on the broker, as far as it is known.
    func kind(of name: String) -> String {
        if let difference = differences(of: name).first(where: { $0.argument == "x-queue-type" }) {
            return difference.existing ?? "classic"
        }
        let configuration = queues.map { topology.configuration(of: $0) }.first { configuration in
            configuration.lanes.contains { $0.queue(of: configuration.name) == name }
        }
        return configuration?.kind.rawValue ?? "quorum"
    }

    /// The value of a policy's key for a queue, with the policy's name; the least value if several policies apply.
    func policyValue(_ key: String, on queue: String) -> (value: Int, policy: String)? {
        let policies = management?.policies(on: queue, kind: kind(of: queue)) ?? []
        return policies.compactMap { policy in policy.definition[key]?.number.map { ($0, policy.name) } }.min {
            $0.0 < $1.0
        }
    }
}

/// The requirements of a kind of job.
struct JobLimits: Sendable, Hashable {
    /// The job's name.
    var name: String
    /// Its queue.
    var queue: QueueName
    /// The total number of attempts.
    var attempts: Int
    /// The longest time that one attempt may take; `nil` if it isn't limited.
    var timeLimit: Duration?

    init(name: String, queue: QueueName, attempts: Int, timeLimit: Duration? = nil) {
        self.name = name
        self.queue = queue
        self.attempts = attempts
        self.timeLimit = timeLimit
    }

    /// Reads the limits of a kind of job; the only place that calls its type.
    init(of job: any Job.Type) {
        self.init(
            name: job.name,
            queue: job.queue,
            attempts: job.retry.attempts,
            timeLimit: job.timeLimits.hard ?? job.timeLimits.soft
        )
    }
}

extension TopologyPlan {
    /// The planned value of a queue's argument.
    func argument(_ name: String, of queue: String) -> FieldValue? {
        for case .queue(let declaration) in steps where declaration.name == queue {
            return declaration.arguments.arguments[name]
        }
        return nil
    }
}
