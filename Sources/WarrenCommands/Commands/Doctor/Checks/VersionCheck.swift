import AMQP

/// Whether it is a broker on which the guarantees hold.
enum VersionCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        let features = facts.features
        let tested = BrokerFeatures.testedSeries.map { "\($0.major).\($0.minor)" }.joined(separator: ", ")
        guard facts.broker.product == "RabbitMQ" else {
            return [
                Finding(
                    .warning,
                    .version,
                    problem: "The broker is \(facts.broker.product) \(facts.broker.version), not RabbitMQ.",
                    consequence:
                        "Nothing of Warren is tested on it: quorum queues, dead-lettering and the delay ladder may differ.",
                    remedy: "Use RabbitMQ, one of \(tested), or test what you rely on."
                )
            ]
        }
        if !features.isSupported {
            return [
                Finding(
                    .error,
                    .version,
                    problem: "RabbitMQ \(facts.broker.version) is older than \(BrokerFeatures.oldestSupportedVersion).",
                    consequence:
                        "Its quorum queues know no time to live and no at-least-once dead-lettering: the delay ladder "
                        + "can't be declared, and dead letters can be lost.",
                    remedy: "Upgrade RabbitMQ to one of \(tested)."
                )
            ]
        }
        if features.isTested { return [] }
        let place =
            features.isNewerThanTested
            ? "newer than all that Warren is tested on" : "between those that Warren is tested on"
        return [
            Finding(
                .note,
                .version,
                problem: "RabbitMQ \(facts.broker.version) is \(place): \(tested).",
                consequence: "It is treated as the newest of them that came before it; what changed since isn't known.",
                remedy: "Read its release notes, and look for a newer Warren."
            )
        ]
    }
}
