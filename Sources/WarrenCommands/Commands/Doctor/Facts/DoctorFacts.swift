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
    var publishing = PublishTrial.taken
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
    case taken
    /// The broker has stopped publishers, for this reason.
    case blocked(reason: String)
    /// The broker didn't confirm it in time, and gave no reason.
    case unanswered
    /// It couldn't be tried.
    case notTried(reason: String)
}
