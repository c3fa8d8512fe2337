import Warren

/// Checks whether every queue with jobs is consumed, and whether dead or parked jobs need attention.
enum QueueCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        facts.statuses.filter(\.exists).flatMap { status in
            switch status.lane {
            case "dead": dead(status, facts)
            case "parked": parked(status, facts)
            default: lane(status)
            }
        }
    }

    private static func lane(_ status: LaneStatus) -> [Finding] {
        guard status.consumers == 0 else { return [] }
        return [
            Finding(
                status.ready > 0 ? .warning : .note,
                .queues,
                status.name,
                problem: status.ready > 0
                    ? "\(status.ready) jobs wait in '\(status.name)', and no worker consumes it."
                    : "No worker consumes '\(status.name)'.",
                consequence: status.ready > 0
                    ? "They wait until one does." : "New jobs will wait until one does.",
                remedy: "Start a worker with --queues \(status.queue); if one runs, check its log and its /readyz."
            )
        ]
    }

    private static func dead(_ status: LaneStatus, _ facts: DoctorFacts) -> [Finding] {
        guard status.ready > 0 else { return [] }
        let rate = facts.management?.queues?.first { $0.name == status.name }?.messagesReadyDetails?.rate ?? 0
        return [
            Finding(
                rate > 0 ? .warning : .note,
                .queues,
                status.name,
                problem: rate > 0
                    ? "\(status.ready) dead jobs are in '\(status.name)', and the number is growing."
                    : "\(status.ready) dead jobs are in '\(status.name)'.",
                consequence: "They stay until they are replayed or discarded.",
                remedy: "See why: 'dead list --queues \(status.queue)'; then 'dead replay' or 'dead discard'."
            )
        ]
    }

    private static func parked(_ status: LaneStatus, _ facts: DoctorFacts) -> [Finding] {
        guard status.ready > 0 else { return [] }
        let configuration = facts.topology.configuration(of: QueueName(status.queue))
        let isNearlyFull = status.ready * 5 >= configuration.parkedLimit * 4
        let hasWorkers = facts.statuses.contains {
            $0.queue == status.queue && $0.consumers > 0 && $0.name != status.name
        }
        return [
            Finding(
                isNearlyFull || hasWorkers ? .warning : .note,
                .queues,
                status.name,
                problem: "\(status.ready) jobs are parked in '\(status.name)'"
                    + (hasWorkers
                        ? ": workers run, but none has a handler for them."
                        : ": no worker so far had a handler for them."),
                consequence:
                    "They wait for a worker that has one, for at most \(configuration.parkedAge / .seconds(86_400)) days, and then move to "
                    + "'\(QueueName(status.queue).dead)'"
                    + (isNearlyFull
                        ? "; with \(configuration.parkedLimit) the queue is full, and further ones move there at once."
                        : "."),
                remedy: "Deploy the worker that has their handlers."
            )
        ]
    }
}
