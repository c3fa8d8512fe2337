import AMQP
import Warren

/// Checks whether the guarantees hold on this broker and version.
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
                        "Warren isn't tested on it: quorum queues, dead-lettering and the delay ladder may behave differently.",
                    remedy: "Use RabbitMQ, one of \(tested), or test the features you rely on."
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
                        "Its quorum queues lack time to live and at-least-once dead-lettering: the delay ladder "
                        + "can't be declared, and dead letters can be lost.",
                    remedy: "Upgrade RabbitMQ to one of \(tested)."
                )
            ]
        }
        if features.isTested { return [] }
        let place =
            features.isNewerThanTested
            ? "newer than the versions that Warren is tested on" : "between the versions that Warren is tested on"
        return [
            Finding(
                .note,
                .version,
                problem: "RabbitMQ \(facts.broker.version) is \(place): \(tested).",
                consequence: "It is treated as the newest tested version before it; later changes aren't known.",
                remedy: "Read its release notes, and look for a newer Warren."
            )
        ]
    }
}

/// The things that could not be examined, and the permissions that doctor lacks for them.
enum AccessCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        var findings: [Finding] = []
        if let management = facts.management {
            if let failure = management.failure {
                findings.append(
                    notInspected(
                        "The management API could not be used: \(failure).",
                        "Check that the plugin rabbitmq_management runs and that --management, or WARREN_BROKER_MANAGEMENT_URL, is its URL.",
                        .warning
                    )
                )
            }
            if !management.unreadable.isEmpty {
                findings.append(
                    notInspected(
                        "The management API did not return \(management.unreadable.joined(separator: "; ")).",
                        "Give the user in --management the tag 'monitoring' (nodes) and 'policymaker' (policies), and check the "
                            + "password."
                    )
                )
            }
        } else {
            findings.append(
                notInspected(
                    "Policies, bindings, nodes, the members of quorum queues and the broker's clock could not be examined, because AMQP "
                        + "doesn't expose them.",
                    "Enable the plugin (rabbitmq-plugins enable rabbitmq_management) and give its URL: "
                        + "--management http://user@host:15672, or WARREN_BROKER_MANAGEMENT_URL."
                )
            )
        }
        if !facts.inspection.notCompared.isEmpty {
            let names = facts.inspection.notCompared.map { "'\($0.name)'" }.joined(separator: ", ")
            findings.append(
                notInspected(
                    "The arguments of \(names) could not be compared: this user may not declare them, or another connection uses them exclusively.",
                    "Run doctor as a user who may configure them, such as the workers' user."
                )
            )
        }
        if case .notTried(let reason) = facts.publishing {
            findings.append(
                notInspected(
                    "No test message could be published, so an alarm would go unnoticed. \(reason)",
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
            consequence: "Problems there are missing from these findings.",
            remedy: remedy
        )
    }
}

/// Checks whether the broker accepts messages.
enum AlarmCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        var findings: [Finding] = []
        switch facts.publishing {
        case .blocked(let reason):
            findings.append(
                Finding(
                    .error,
                    .alarms,
                    problem: "The broker has blocked all publishers: \(reason)",
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
                    problem: "The broker did not confirm a test message within 2 seconds, and gave no reason.",
                    consequence: "Enqueueing is equally slow, and fails once its deadline passes.",
                    remedy: "Check the load of the broker's machine, and its log."
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
        "'enqueue' fails with 'blocked' at its deadline, and retries, dead letters and results can't be published: failed jobs wait unsettled."

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

/// Checks whether the cluster's nodes run, and the members of the quorum queues are online.
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
                            "Quorum queues with a member on it tolerate fewer further failures, or none, before they stop.",
                        remedy: "Start it, or remove it for good: rabbitmqctl forget_cluster_node \(node.name)"
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
                        consequence:
                            "The two sides continue separately: declarations and bindings made on one are missing on the other.",
                        remedy: "Repair the network, then restart the nodes of the side whose changes may be discarded."
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
                consequence: "Jobs are safe and still run; with one member fewer, they may stop.",
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
                        "Until there is one, the broker accepts, delivers and settles no jobs of these queues.",
                    remedy: "Start the missing nodes."
                )
            )
        }
        return findings
    }
}

/// Checks whether this machine's clock and the broker's agree.
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
                    "Due times and expiry times are wall-clock times, so workers on machines whose clocks differ start "
                    + "jobs early or late, and drop jobs as expired too early.",
                remedy: "Set both clocks by NTP (chrony, systemd-timesyncd)."
            )
        ]
    }
}
