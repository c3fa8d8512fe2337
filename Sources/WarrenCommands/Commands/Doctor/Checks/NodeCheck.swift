import Warren

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
        var short: [String: [String]] = [:]
        var stopped: [String] = []
        for queue in queues where planned.contains(queue.name) {
            guard let members = queue.members, let online = queue.online, online.count < members.count else { continue }
            if online.count * 2 <= members.count {
                stopped.append(queue.name)
            } else {
                short["\(online.count) of \(members.count)", default: []].append(queue.name)
            }
        }
        var findings = short.sorted { $0.key < $1.key }.map { count, names in
            Finding(
                .warning,
                .nodes,
                names.count == 1 ? names[0] : nil,
                problem: "Of the members of \(NameList.text(names)) only \(count) are online.",
                consequence: "Jobs are still safe and move on; with one member less they may stop.",
                remedy: "Start the missing nodes, or move the members: rabbitmq-queues grow, rabbitmq-queues shrink."
            )
        }
        if !stopped.isEmpty {
            findings.append(
                Finding(
                    .error,
                    .nodes,
                    stopped.count == 1 ? stopped[0] : nil,
                    problem: "No majority of the members of \(NameList.text(stopped)) is online.",
                    consequence:
                        "The broker takes no jobs for them, delivers none and settles none until there is one.",
                    remedy: "Start the missing nodes."
                )
            )
        }
        return findings
    }
}
