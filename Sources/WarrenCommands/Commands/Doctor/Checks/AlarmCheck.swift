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
        case .taken, .notTried: break
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
