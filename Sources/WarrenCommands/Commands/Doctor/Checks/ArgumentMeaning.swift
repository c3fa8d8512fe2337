import Warren

/// The consequence for jobs if a queue's argument, or a policy's key of the same name without `x-`, differs from the
/// plan.
struct ArgumentMeaning: Sendable, Hashable {
    var severity: Finding.Severity
    var consequence: String

    private init(_ severity: Finding.Severity, _ consequence: String) {
        self.severity = severity
        self.consequence = consequence
    }

    /// - Parameter name: An argument such as `x-message-ttl`, a property such as `durable`, or a policy's key.
    /// - Parameter role: The role of the queue.
    init(of name: String, on role: QueueRole) {
        let key = name.hasPrefix("x-") ? String(name.dropFirst(2)) : name
        self =
            Self.meanings[key] ?? Self.ttl(key, role)
            ?? ArgumentMeaning(.warning, "The queue doesn't behave as Warren expects.")
    }

    /// The role of a queue.
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
            ArgumentMeaning(.error, "Jobs that wait longer than this are dead-lettered without being run.")
        case .dead:
            ArgumentMeaning(.error, "Dead jobs are deleted after this time, perhaps before anybody has looked at them.")
        case .parked:
            ArgumentMeaning(.warning, "Parked jobs move to the dead queue at an age other than the configured one.")
        case .ladder: ArgumentMeaning(.error, "Delays and retries come at the wrong time.")
        }
    }

    private static let meanings: [String: ArgumentMeaning] = [
        "durable": ArgumentMeaning(.error, "A restart of the broker deletes it, with the jobs in it."),
        "auto_delete": ArgumentMeaning(.error, "It is deleted, with the jobs in it, when its last consumer is gone."),
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
            "Delayed jobs without a destination queue stay in the ladder's last level."
        ),
        "queue-type": ArgumentMeaning(
            .warning,
            "A classic queue is on one node, and its jobs are lost with that node; it counts no deliveries, and dead-letters unconfirmed."
        ),
        "dead-letter-exchange": ArgumentMeaning(
            .error,
            "Jobs that the broker dead-letters (crashes beyond the limit, expired delays) go elsewhere or are deleted."
        ),
        "dead-letter-routing-key": ArgumentMeaning(
            .error,
            "Jobs that the broker dead-letters don't arrive in the dead queue."
        ),
        "dead-letter-strategy": ArgumentMeaning(
            .warning,
            "The broker dead-letters with a single unconfirmed publish, so jobs can be lost when a node fails."
        ),
        "overflow": ArgumentMeaning(
            .warning,
            "A full queue drops its oldest jobs instead of refusing new ones, and dead-letters unconfirmed."
        ),
        "max-length": ArgumentMeaning(
            .warning,
            "Once this many jobs wait, new ones are refused (or the oldest dropped, if 'overflow' isn't reject-publish)."
        ),
        "max-length-bytes": ArgumentMeaning(
            .warning,
            "Once this many bytes wait, new jobs are refused (or the oldest dropped, if 'overflow' isn't reject-publish)."
        ),
        "single-active-consumer": ArgumentMeaning(.warning, "One worker at a time gets jobs; all others wait."),
        "max-priority": ArgumentMeaning(.warning, "Jobs are delivered in an order other than planned."),
        "queue-mode": ArgumentMeaning(
            .warning,
            "It has no effect on quorum queues, and RabbitMQ 4.3 refuses the argument."
        ),
    ]
}
