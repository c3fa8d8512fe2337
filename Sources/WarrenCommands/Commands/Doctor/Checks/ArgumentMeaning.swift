import Warren

/// What it means for jobs if a queue's argument, or a policy's key of the same name without `x-`, isn't what Warren
/// asks for.
struct ArgumentMeaning: Sendable, Hashable {
    var severity: Finding.Severity
    var consequence: String

    private init(_ severity: Finding.Severity, _ consequence: String) {
        self.severity = severity
        self.consequence = consequence
    }

    /// - Parameter name: An argument such as `x-message-ttl`, a property such as `durable`, or a policy's key.
    /// - Parameter role: What the queue is for.
    init(of name: String, on role: QueueRole) {
        let key = name.hasPrefix("x-") ? String(name.dropFirst(2)) : name
        self =
            Self.meanings[key] ?? Self.ttl(key, role)
            ?? ArgumentMeaning(.warning, "The queue doesn't behave as Warren expects.")
    }

    /// What a queue is for.
    enum QueueRole: Sendable {
        case jobs
        case dead
        case parked
        case ladder
    }

    private static func ttl(_ key: String, _ role: QueueRole) -> ArgumentMeaning? {
        guard key == "message-ttl" else { return nil }
        return switch role {
        case .jobs:
            ArgumentMeaning(.error, "Jobs that wait longer than this are dead-lettered without having been run.")
        case .dead:
            ArgumentMeaning(.error, "Dead jobs are deleted when this has passed, before anybody looked at them.")
        case .parked: ArgumentMeaning(.warning, "Parked jobs go to the dead queue at another age than configured.")
        case .ladder: ArgumentMeaning(.error, "Delays and retries come at the wrong time.")
        }
    }

    private static let meanings: [String: ArgumentMeaning] = [
        "durable": ArgumentMeaning(.error, "A restart of the broker deletes it with the jobs in it."),
        "auto_delete": ArgumentMeaning(.error, "It is deleted, with the jobs in it, when its last consumer goes."),
        "expires": ArgumentMeaning(
            .error,
            "It is deleted, with the jobs in it, when nobody has used it for that long."
        ),
        "type": ArgumentMeaning(
            .error,
            "The exchange doesn't route as planned: jobs go to the wrong queues, or to none."
        ),
        "alternate-exchange": ArgumentMeaning(
            .error,
            "Delayed jobs that no queue wants wait in the ladder's last level for ever."
        ),
        "queue-type": ArgumentMeaning(
            .warning,
            "A classic queue is on one node, and lost jobs with it; it counts no deliveries and dead-letters without a confirm."
        ),
        "dead-letter-exchange": ArgumentMeaning(
            .error,
            "What the broker dead-letters (crashes beyond the limit, expired delays) goes elsewhere, or is deleted."
        ),
        "dead-letter-routing-key": ArgumentMeaning(
            .error,
            "What the broker dead-letters does not arrive in the dead queue."
        ),
        "dead-letter-strategy": ArgumentMeaning(
            .warning,
            "What the broker dead-letters is published once, unconfirmed: it can be lost when a node fails."
        ),
        "overflow": ArgumentMeaning(
            .warning,
            "A full queue drops its oldest jobs instead of refusing new ones, and dead-letters without a confirm."
        ),
        "max-length": ArgumentMeaning(
            .warning,
            "When that many wait, new jobs are refused (or the oldest dropped, if 'overflow' isn't reject-publish)."
        ),
        "max-length-bytes": ArgumentMeaning(
            .warning,
            "When that many bytes wait, new jobs are refused (or the oldest dropped, if 'overflow' isn't reject-publish)."
        ),
        "single-active-consumer": ArgumentMeaning(.warning, "One worker at a time gets jobs; all others wait."),
        "max-priority": ArgumentMeaning(.warning, "Jobs are delivered in another order than planned."),
        "queue-mode": ArgumentMeaning(
            .warning,
            "It has no effect on quorum queues, and RabbitMQ 4.3 refuses the argument."
        ),
    ]
}
