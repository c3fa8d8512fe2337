import AMQP
import Warren

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

/// What could not be looked at, and how to let it be.
enum AccessCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        var findings: [Finding] = []
        if let management = facts.management {
            if let failure = management.failure {
                findings.append(
                    notInspected(
                        "The management API was asked for and could not be: \(failure).",
                        "See that the plugin rabbitmq_management runs and that --management, or WARREN_BROKER_MANAGEMENT_URL, is its URL.",
                        .warning
                    )
                )
            }
            if !management.unreadable.isEmpty {
                findings.append(
                    notInspected(
                        "The management API didn't tell of \(management.unreadable.joined(separator: "; ")).",
                        "Give the user in --management the tag 'monitoring' (nodes) and 'policymaker' (policies), and see that the "
                            + "password is right."
                    )
                )
            }
        } else {
            findings.append(
                notInspected(
                    "Policies, bindings, nodes, the members of quorum queues and the broker's clock could not be looked at: AMQP "
                        + "doesn't tell of them.",
                    "Enable the plugin (rabbitmq-plugins enable rabbitmq_management) and say where it is: "
                        + "--management http://user@host:15672, or WARREN_BROKER_MANAGEMENT_URL."
                )
            )
        }
        if !facts.inspection.notCompared.isEmpty {
            let names = facts.inspection.notCompared.map { "'\($0.name)'" }.joined(separator: ", ")
            findings.append(
                notInspected(
                    "The arguments of \(names) could not be compared: this user may not declare them, or another connection has them.",
                    "Run doctor as a user with the permission to configure them, as a worker's is."
                )
            )
        }
        if case .notTried(let reason) = facts.publishing {
            findings.append(
                notInspected(
                    "No message could be published for trial, so an alarm would not show. \(reason)",
                    "Let the user configure, write and read queues named 'warren.doctor.*'."
                )
            )
        }
        return findings
    }

    private static func notInspected(
        _ problem: String,
        _ remedy: String,
        _ severity: Finding.Severity = .note
    ) -> Finding {
        Finding(
            severity,
            .access,
            problem: problem,
            consequence: "What is wrong there is not among these findings.",
            remedy: remedy
        )
    }
}

/// Whether the broker takes messages.
enum AlarmCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        var findings: [Finding] = []
        switch facts.publishing {
        case .blocked(let reason):
            findings.append(
                Finding(
                    .error,
                    .alarms,
                    problem: "The broker has stopped all publishers: \(reason)",
                    consequence: consequence,
                    remedy:
                        "Free memory or disk on the broker's machine, or raise vm_memory_high_watermark or disk_free_limit; "
                        + "'rabbitmq-diagnostics alarms' says which node."
                )
            )
        case .unanswered:
            findings.append(
                Finding(
                    .warning,
                    .alarms,
                    problem: "The broker did not confirm a message for trial within 2 seconds, and gave no reason.",
                    consequence: "Enqueueing is as slow, and fails when its deadline passes.",
                    remedy: "Look at the load of the broker's machine and at its log."
                )
            )
        case .confirmed, .notTried: break
        }
        for node in facts.management?.nodes ?? [] {
            if node.memAlarm == true {
                findings.append(alarm(node, "memory", "Free memory there, or raise vm_memory_high_watermark."))
            }
            if node.diskFreeAlarm == true {
                findings.append(alarm(node, "disk", "Free disk space there, or lower disk_free_limit."))
            }
        }
        return findings
    }

    private static let consequence =
        "'enqueue' fails with 'blocked' at its deadline, and no retry, dead letter or result can be published: jobs that fail wait unsettled."

    private static func alarm(_ node: ManagedNode, _ resource: String, _ remedy: String) -> Finding {
        Finding(
            .error,
            .alarms,
            node.name,
            problem: "Node '\(node.name)' has a \(resource) alarm.",
            consequence: consequence,
            remedy: remedy
        )
    }
}

/// Whether the cluster's nodes are there, and the members of the quorum queues.
enum NodeCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        guard let management = facts.management else { return [] }
        return nodes(management.nodes ?? []) + members(management.queues ?? [], of: facts)
    }

    private static func nodes(_ nodes: [ManagedNode]) -> [Finding] {
        nodes.flatMap { node in
            var findings: [Finding] = []
            if !node.running {
                findings.append(
                    Finding(
                        .warning,
                        .nodes,
                        node.name,
                        problem: "Node '\(node.name)' is not running.",
                        consequence:
                            "Quorum queues with a member on it can lose fewer further nodes, or none, before they stop.",
                        remedy: "Start it; or remove it for good: rabbitmqctl forget_cluster_node \(node.name)"
                    )
                )
            }
            if let others = node.partitions, !others.isEmpty {
                findings.append(
                    Finding(
                        .error,
                        .nodes,
                        node.name,
                        problem: "Node '\(node.name)' is cut off from \(others.joined(separator: ", ")).",
                        consequence: "The sides go on apart: what is declared or bound on one is missing on the other.",
                        remedy: "Mend the network, then restart the nodes of the side that is to give way."
                    )
                )
            }
            return findings
        }
    }

    private static func members(_ queues: [ManagedQueue], of facts: DoctorFacts) -> [Finding] {
        let planned = Set(facts.plan.queues)
        var degraded: [String: [String]] = [:]
        var withoutMajority: [String] = []
        for queue in queues where planned.contains(queue.name) {
            guard let members = queue.members, let online = queue.online, online.count < members.count else { continue }
            if online.count * 2 <= members.count {
                withoutMajority.append(queue.name)
            } else {
                degraded["\(online.count) of \(members.count)", default: []].append(queue.name)
            }
        }
        var findings = degraded.sorted { $0.key < $1.key }.map { count, names in
            Finding(
                .warning,
                .nodes,
                names.count == 1 ? names[0] : nil,
                problem: "Of the members of \(names.quotedList) only \(count) are online.",
                consequence: "Jobs are still safe and move on; with one member less they may stop.",
                remedy: "Start the missing nodes, or move the members: rabbitmq-queues grow, rabbitmq-queues shrink."
            )
        }
        if !withoutMajority.isEmpty {
            findings.append(
                Finding(
                    .error,
                    .nodes,
                    withoutMajority.count == 1 ? withoutMajority[0] : nil,
                    problem: "No majority of the members of \(withoutMajority.quotedList) is online.",
                    consequence:
                        "The broker takes no jobs for them, delivers none and settles none until there is one.",
                    remedy: "Start the missing nodes."
                )
            )
        }
        return findings
    }
}

/// Whether this machine's clock and the broker's agree.
enum ClockCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        guard let skew = facts.management?.skew, skew.minimum > 2 else { return [] }
        let seconds = Int(skew.minimum)
        return [
            Finding(
                skew.minimum > 30 ? .error : .warning,
                .clock,
                problem:
                    "The broker's clock is at least \(seconds) s \(skew.isAhead ? "ahead of" : "behind") this machine's.",
                consequence:
                    "When a job is due and when it expires is written in wall-clock time: workers on machines that differ start "
                    + "jobs early or late, and drop as expired what isn't.",
                remedy: "Set both clocks by NTP (chrony, systemd-timesyncd)."
            )
        ]
    }
}
