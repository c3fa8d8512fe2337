import Warren

/// Whether the application's exchanges and queues are there, and as planned.
///
/// The ladder and the delivery limit have checks of their own.
enum TopologyCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        missingExchanges(facts) + facts.queues.flatMap { missing(of: $0, facts) } + different(facts)
    }

    private static let remedy =
        "Run 'topology apply', or start a worker: it declares what it needs, unless told --no-declare."

    private static func missingExchanges(_ facts: DoctorFacts) -> [Finding] {
        // Before the first worker nothing is there, and that is no fault.
        let isInUse = facts.queues.contains { !facts.isMissing($0.rawValue) }
        return [facts.topology.exchange, facts.topology.deadExchange].filter(facts.isMissing).map { name in
            Finding(
                isInUse ? .error : .warning,
                .topology,
                name,
                problem: "The exchange '\(name)' doesn't exist.",
                consequence: name == facts.topology.exchange
                    ? "No job can be enqueued by a client that doesn't declare it."
                    : "Jobs that can't succeed have nowhere to go, and come back.",
                remedy: remedy
            )
        }
    }

    private static func missing(of queue: QueueName, _ facts: DoctorFacts) -> [Finding] {
        let lanes = facts.topology.configuration(of: queue).lanes.map { $0.queue(of: queue) }
        let names = lanes + [queue.dead, queue.parked]
        let missing = names.filter(facts.isMissing)
        if missing == names {
            return [
                Finding(
                    .warning,
                    .topology,
                    queue.rawValue,
                    problem:
                        "The queue '\(queue)' doesn't exist, with all that belongs to it: \(NameList.text(missing)).",
                    consequence:
                        "Jobs for it are refused as unroutable, unless the client declares it. Nobody has worked on it yet, or it "
                        + "was deleted with what was in it.",
                    remedy: remedy
                )
            ]
        }
        return missing.map { finding(missing: $0, facts) }
    }

    private static func finding(missing name: String, _ facts: DoctorFacts) -> Finding {
        let consequence: String =
            switch facts.role(of: name) {
            case .dead: "Jobs that can't succeed have nowhere to go: they stay unsettled, or in their queue."
            case .parked: "Jobs whose names no worker knows can't be put aside, and are handed round."
            case .jobs, .ladder:
                "Jobs for it are refused as unroutable, unless the client declares it; what was in it is lost."
            }
        return Finding(
            .error,
            .topology,
            name,
            problem: "The queue '\(name)' doesn't exist, and others that belong to it do.",
            consequence: consequence,
            remedy: remedy
        )
    }

    private static func different(_ facts: DoctorFacts) -> [Finding] {
        facts.inspection.differences.compactMap { difference in
            guard !DoctorFacts.ladderNames.contains(difference.name), difference.argument != "x-delivery-limit" else {
                return nil
            }
            let meaning = ArgumentMeaning(of: difference.argument ?? "", on: facts.role(of: difference.name))
            return Finding(
                meaning.severity,
                .topology,
                difference.name,
                problem: difference.problem,
                consequence: meaning.consequence,
                remedy: difference.remedy
            )
        }
    }
}

extension TopologyDifference {
    /// What differs, in a sentence without what to do.
    var problem: String {
        guard let argument else { return "The \(kind) '\(name)' is different from the plan." }
        let found = existing.map { "\(argument) '\($0)'" } ?? "no \(argument)"
        return "The \(kind) '\(name)' has \(found); \(planned.map { "'\($0)' is planned" } ?? "none is planned")."
    }
}
