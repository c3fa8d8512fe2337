import AMQP
import Warren

/// What `doctor` read, for its checks to judge: values only.
struct DoctorFacts: Sendable {
    /// The broker.
    var broker: BrokerIdentity
    /// The application's topology.
    var topology: Topology
    /// The queues asked about.
    var queues: [QueueName]
    /// What the broker has of the plan.
    var inspection = TopologyInspection()
    /// How lanes, dead and parked queues stand.
    var statuses: [LaneStatus] = []
    /// How many messages the delay ladder could not deliver.
    var unrouted = 0
    /// What the application's jobs ask for.
    var jobs: [JobLimits] = []
    /// What became of the trial publish.
    var publishing = PublishTrial.confirmed
    /// What the management API told; `nil` if it wasn't asked.
    var management: ManagementFacts?
    /// What the command line says of the world outside.
    var assumptions = DoctorAssumptions()

    /// What differs at the broker's version.
    var features: BrokerFeatures { BrokerFeatures(broker.version) }

    /// What has to be on the broker.
    var plan: TopologyPlan { topology.plan(for: queues, broker: broker.version) }

    /// Everything that an exchange or queue has differently from the plan, by its name.
    func differences(of name: String) -> [TopologyDifference] { inspection.differences.filter { $0.name == name } }

    /// Whether an exchange or queue of the plan doesn't exist.
    func isMissing(_ name: String) -> Bool { inspection.missing.contains { $0.name == name } }

    /// Each lane's queue with the configuration of its job queue, if it exists.
    var lanes: [(name: String, configuration: QueueConfiguration)] {
        queues.flatMap { queue in
            let configuration = topology.configuration(of: queue)
            return configuration.lanes.map { ($0.queue(of: queue), configuration) }
        }.filter { !isMissing($0.0) }
    }
}

/// What the command line says of what no broker tells.
struct DoctorAssumptions: Sendable {
    /// The `consumer_timeout` in the broker's `rabbitmq.conf`; `nil` for the version's default.
    var consumerTimeout: Duration?
    /// The shutdown deadline of the workers.
    var shutdownTimeout: Duration = .seconds(30)
}

/// What became of a message published for trial, to a queue of its own.
enum PublishTrial: Sendable, Hashable {
    /// The broker took it.
    case confirmed
    /// The broker has stopped publishers, for this reason.
    case blocked(reason: String)
    /// The broker didn't confirm it in time, and gave no reason.
    case unanswered
    /// It couldn't be tried.
    case notTried(reason: String)
}

extension DoctorFacts {
    /// What a queue of the plan is for.
    func role(of name: String) -> ArgumentMeaning.QueueRole {
        if Self.ladderNames.contains(name) { return .ladder }
        if queues.contains(where: { $0.dead == name }) { return .dead }
        return queues.contains { $0.parked == name } ? .parked : .jobs
    }

    /// The exchanges and queues of the delay ladder.
    static let ladderNames = Set(DelayLadder.plan.exchanges + DelayLadder.plan.queues)

    /// The type that a queue of the plan has at the broker, as far as it is known.
    func kind(of name: String) -> String {
        if let difference = differences(of: name).first(where: { $0.argument == "x-queue-type" }) {
            return difference.existing ?? "classic"
        }
        let configuration = queues.map { topology.configuration(of: $0) }.first { configuration in
            configuration.lanes.contains { $0.queue(of: configuration.name) == name }
        }
        return configuration?.kind.rawValue ?? "quorum"
    }

    /// What a policy says about a queue for a key, with the policy's name: the least where several do.
    func policyValue(_ key: String, on queue: String) -> (value: Int, policy: String)? {
        let policies = management?.policies(on: queue, kind: kind(of: queue)) ?? []
        return policies.compactMap { policy in policy.definition[key]?.number.map { ($0, policy.name) } }.min {
            $0.0 < $1.0
        }
    }
}

/// What a kind of job asks of its queue.
struct JobLimits: Sendable, Hashable {
    /// The job's name.
    var name: String
    /// Its queue.
    var queue: QueueName
    /// How many times it is run in all.
    var attempts: Int
    /// How long one run may take; `nil` if it isn't limited.
    var timeLimit: Duration?

    init(name: String, queue: QueueName, attempts: Int, timeLimit: Duration? = nil) {
        self.name = name
        self.queue = queue
        self.attempts = attempts
        self.timeLimit = timeLimit
    }

    /// The limits of a kind of job: the one place that asks its type.
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
    /// The value of an argument that a queue is planned with.
    func argument(_ name: String, of queue: String) -> FieldValue? {
        for case .queue(let declaration) in steps where declaration.name == queue {
            return declaration.arguments.arguments[name]
        }
        return nil
    }
}
