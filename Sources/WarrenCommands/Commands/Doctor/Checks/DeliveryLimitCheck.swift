import AMQP
import Warren

/// Whether the broker gives up on a job before its worker would.
enum DeliveryLimitCheck {
    /// How many hand-backs and crashes a job should survive for each attempt that its policy allows.
    private static let factor = 2
    /// How many returns a job has behind it when the workers quarantine it with its evidence: two until it is suspected, then one for each
    /// process that it takes down alone.
    private static let quarantine = 2 + WorkerSettings().crashLimit

    static func findings(_ facts: DoctorFacts) -> [Finding] {
        facts.lanes.compactMap { lane, configuration in
            guard facts.kind(of: lane) == "quorum" else { return nil }
            return finding(lane, configuration, facts)
        }
    }

    private static func finding(_ lane: String, _ configuration: QueueConfiguration, _ facts: DoctorFacts) -> Finding? {
        let attempts = facts.jobs.filter { $0.queue == configuration.name }.map(\.attempts).max()
        let (limit, source) = effectiveLimit(lane, configuration, facts)
        guard let limit else {
            return Finding(
                .warning,
                .deliveryLimit,
                lane,
                problem: "The queue '\(lane)' has no delivery limit; \(configuration.deliveryLimit) is planned.",
                consequence:
                    "A job that takes its worker down comes back without end wherever the workers' own limit doesn't see it.",
                remedy: policy(configuration)
            )
        }
        let needed = max(factor * (attempts ?? 1), quarantine)
        guard limit < configuration.deliveryLimit || limit < needed else { return nil }
        let counted =
            facts.features.nackCountsTowardsDeliveryLimit ? "hand-backs and crashes" : "crashes and rejections"
        return Finding(
            limit <= attempts ?? 1 ? .error : .warning,
            .deliveryLimit,
            lane,
            problem:
                "The queue '\(lane)' gives up on a job after \(limit) returns (\(source)); \(configuration.deliveryLimit) is "
                + "planned" + (attempts.map { ", and its jobs have up to \($0) attempts." } ?? "."),
            consequence:
                "The broker counts \(counted) of every worker: a few rolling restarts or bad workers dead-letter jobs that "
                + "never failed"
                + (limit < quarantine
                    ? ", and a job that takes workers down is dead before they have evidence of it." : "."),
            remedy: limit >= configuration.deliveryLimit
                ? "Configure a deliveryLimit of \(needed) or more, and make the queue anew."
                : policy(configuration)
        )
    }

    /// `nil` for no limit.
    private static func effectiveLimit(
        _ lane: String,
        _ configuration: QueueConfiguration,
        _ facts: DoctorFacts
    ) -> (Int?, String) {
        var limit: Int? = configuration.deliveryLimit
        var source = "its x-delivery-limit"
        if let difference = facts.differences(of: lane).first(where: { $0.argument == "x-delivery-limit" }) {
            if let existing = difference.existing.flatMap({ Int($0) }) {
                limit = existing < 0 ? nil : existing
            } else {
                limit = facts.features.defaultDeliveryLimit
                source = "the default of RabbitMQ \(facts.broker.version)"
            }
        }
        if let (value, policy) = facts.policyValue("delivery-limit", on: lane), value >= 0, value < limit ?? .max {
            return (value, "the policy '\(policy)'")
        }
        return (limit, source)
    }

    private static func policy(_ configuration: QueueConfiguration) -> String {
        "A queue's arguments can't be changed, and of argument and policy the lesser holds: remove a policy that says less, or "
            + "drain the queue, delete it and run 'topology apply'. Without an argument, a policy with delivery-limit "
            + "\(configuration.deliveryLimit) does it."
    }
}
