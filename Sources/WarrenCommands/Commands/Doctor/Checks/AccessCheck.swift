import Warren

/// What could not be looked at, and how to let it be.
enum AccessCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        var findings: [Finding] = []
        if let management = facts.management {
            if let failure = management.failure {
                findings.append(
                    unseen(
                        "The management API was asked for and could not be: \(failure).",
                        "See that the plugin rabbitmq_management runs and that --management, or WARREN_BROKER_MANAGEMENT_URL, is its URL.",
                        .warning
                    )
                )
            }
            if !management.unread.isEmpty {
                findings.append(
                    unseen(
                        "The management API didn't tell of \(management.unread.joined(separator: "; ")).",
                        "Give the user in --management the tag 'monitoring' (nodes) and 'policymaker' (policies), and see that the "
                            + "password is right."
                    )
                )
            }
        } else {
            findings.append(
                unseen(
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
                unseen(
                    "The arguments of \(names) could not be compared: this user may not declare them, or another connection has them.",
                    "Run doctor as a user with the permission to configure them, as a worker's is."
                )
            )
        }
        if case .notTried(let reason) = facts.publishing {
            findings.append(
                unseen(
                    "No message could be published for trial, so an alarm would not show. \(reason)",
                    "Let the user configure, write and read queues named 'warren.doctor.*'."
                )
            )
        }
        return findings
    }

    private static func unseen(_ problem: String, _ remedy: String, _ severity: Finding.Severity = .note) -> Finding {
        Finding(
            severity,
            .access,
            problem: problem,
            consequence: "What is wrong there is not among these findings.",
            remedy: remedy
        )
    }
}
