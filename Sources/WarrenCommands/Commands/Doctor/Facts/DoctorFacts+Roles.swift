import AMQP
import Warren

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
