import AMQP
import Warren

/// Checks whether policies override the arguments with which the queues were declared.
///
/// The lesser of policy and argument applies to numbers; otherwise the argument applies, if there is one
/// (<https://www.rabbitmq.com/docs/parameters#policies>). ``DeliveryLimitCheck`` and ``ConsumerTimeoutCheck`` cover
/// those limits.
enum PolicyCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        guard let management = facts.management else { return [] }
        let plan = facts.plan
        var names: [Effect: [String]] = [:]
        for queue in plan.queues where !facts.isMissing(queue) {
            for policy in management.policies(on: queue, kind: facts.kind(of: queue)) {
                for (key, value) in policy.definition {
                    let effect = Effect(policy: policy.name, key: key, value: value, role: facts.role(of: queue))
                    if overrides(key, value, queue, plan) { names[effect, default: []].append(queue) }
                }
            }
        }
        return names.map { effect, queues in finding(effect, queues, facts) }
            .sorted { ($0.problem, $0.consequence) < ($1.problem, $1.consequence) }
    }

    private struct Effect: Hashable {
        var policy: String
        var key: String
        var value: PolicyValue
        var role: ArgumentMeaning.QueueRole
    }

    private static let watched: Set<String> = [
        "message-ttl", "expires", "max-length", "max-length-bytes", "overflow", "dead-letter-exchange",
        "dead-letter-routing-key",
        "dead-letter-strategy", "queue-mode", "ha-mode",
    ]

    private static func overrides(_ key: String, _ value: PolicyValue, _ queue: String, _ plan: TopologyPlan) -> Bool {
        guard watched.contains(key) else { return false }
        guard let planned = plan.argument("x-" + key, of: queue) else { return true }
        guard let limit = value.number, let own = planned.integerValue else { return false }
        return limit < own
    }

    private static func finding(_ effect: Effect, _ queues: [String], _ facts: DoctorFacts) -> Finding {
        let problem = "The policy '\(effect.policy)' gives \(queues.quotedList) \(effect.key) \(effect.value)."
        if effect.key == "ha-mode" {
            return Finding(
                .warning,
                .policies,
                effect.policy,
                problem: problem,
                consequence: facts.features.mirrorsClassicQueues
                    ? "It has no effect on quorum queues; classic queues are mirrored, which RabbitMQ 4 no longer supports."
                    : "It has no effect on RabbitMQ \(facts.broker.version).",
                remedy: "Remove it from the policy; use quorum queues."
            )
        }
        let meaning = ArgumentMeaning(of: effect.key, on: effect.role)
        return Finding(
            meaning.severity,
            .policies,
            effect.policy,
            problem: problem,
            consequence: meaning.consequence,
            remedy: "Exclude these queues from the policy's pattern, or remove '\(effect.key)' from the policy."
        )
    }
}
