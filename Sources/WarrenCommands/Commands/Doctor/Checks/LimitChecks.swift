import AMQP
import Warren

/// Checks whether the broker gives up on a job before its worker does.
enum DeliveryLimitCheck {
    /// The number of requeues and crashes that a job should survive for each attempt that its policy allows.
    private static let returnsPerAttempt = 2
    /// The number of redeliveries after which the workers quarantine a job with evidence: two until it is
    /// treated as possible poison, then one for each process that it takes down while it runs alone.
    private static let returnsUntilQuarantine = 2 + WorkerSettings().crashLimit

    static func findings(_ facts: DoctorFacts) -> [Finding] {
        facts.lanes.compactMap { lane, configuration in
            guard facts.kind(of: lane) == "quorum" else { return nil }
            return finding(lane, configuration, facts)
        }
    }

    private static func finding(_ lane: String, _ configuration: QueueConfiguration, _ facts: DoctorFacts) -> Finding? {
        let attempts = facts.jobs.filter { $0.queue == configuration.name }.map(\.attempts).max()
        let (limit, source) = effectiveLimit(lane, configuration, facts)
        guard let limit else {
            return Finding(
                .warning,
                .deliveryLimit,
                lane,
                problem: "The queue '\(lane)' has no delivery limit; \(configuration.deliveryLimit) is planned.",
                consequence:
                    "A job that crashes its worker is redelivered without end wherever the workers' own limit doesn't apply.",
                remedy: policy(configuration)
            )
        }
        let needed = max(returnsPerAttempt * (attempts ?? 1), returnsUntilQuarantine)
        guard limit < configuration.deliveryLimit || limit < needed else { return nil }
        let counted =
            facts.features.nackCountsTowardsDeliveryLimit ? "requeues and crashes" : "crashes and rejections"
        return Finding(
            limit <= attempts ?? 1 ? .error : .warning,
            .deliveryLimit,
            lane,
            problem:
                "The queue '\(lane)' gives up on a job after \(limit) redeliveries (\(source)); \(configuration.deliveryLimit) is "
                + "planned" + (attempts.map { ", and its jobs have up to \($0) attempts." } ?? "."),
            consequence:
                "The broker counts \(counted) of every worker: a few rolling restarts or bad workers dead-letter jobs that "
                + "never failed"
                + (limit < returnsUntilQuarantine
                    ? ", and a job that crashes workers is dead-lettered before they have evidence of it." : "."),
            remedy: limit >= configuration.deliveryLimit
                ? "Configure a deliveryLimit of \(needed) or more, and recreate the queue."
                : policy(configuration)
        )
    }

    /// `nil` for no limit.
    private static func effectiveLimit(
        _ lane: String,
        _ configuration: QueueConfiguration,
        _ facts: DoctorFacts
    ) -> (Int?, String) {
        var limit: Int? = configuration.deliveryLimit
        var source = "its x-delivery-limit"
        if let difference = facts.differences(of: lane).first(where: { $0.argument == "x-delivery-limit" }) {
            if let existing = difference.existing.flatMap({ Int($0) }) {
                limit = existing < 0 ? nil : existing
            } else {
                limit = facts.features.defaultDeliveryLimit
                source = "the default of RabbitMQ \(facts.broker.version)"
            }
        }
        if let (value, policy) = facts.policyValue("delivery-limit", on: lane), value >= 0, value < limit ?? .max {
            return (value, "the policy '\(policy)'")
        }
        return (limit, source)
    }

    private static func policy(_ configuration: QueueConfiguration) -> String {
        "A queue's arguments can't be changed, and the lesser of argument and policy applies: remove a policy with a lower value, or "
            + "drain the queue, delete it and run 'topology apply'. Without an argument, a policy with delivery-limit "
            + "\(configuration.deliveryLimit) sets the limit."
    }
}

/// Checks whether the broker redelivers jobs that workers are still running.
enum ConsumerTimeoutCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        var findings: [Finding] = []
        var unlimited: [String: (lanes: [String], jobs: Set<String>)] = [:]
        for (lane, configuration) in facts.lanes {
            guard let timeout = timeout(of: lane, facts) else { continue }
            for job in facts.jobs where job.queue == configuration.name {
                guard let limit = job.timeLimit else {
                    unlimited["\(timeout.text)", default: ([], [])].jobs.insert(job.name)
                    continue
                }
                if limit >= timeout.duration { findings.append(tooLong(job, limit, lane, timeout, facts)) }
            }
            if facts.assumptions.shutdownTimeout >= timeout.duration {
                findings.append(slowShutdown(lane, timeout, facts))
            }
        }
        for (text, entry) in unlimited.sorted(by: { $0.key < $1.key }) {
            findings.append(
                Finding(
                    .note,
                    .consumerTimeout,
                    problem:
                        "The jobs \(entry.jobs.sorted().quotedList) have no time limit, and the broker waits for a settlement for \(text).",
                    consequence: "A job that runs longer is redelivered while it still runs. \(redelivery(facts))",
                    remedy: "Give them a shorter time limit, or raise the timeout. \(Self.settings(facts))"
                )
            )
        }
        return findings
    }

    private struct Timeout {
        var duration: Duration
        var source: String
        var text: String { "\(duration / .seconds(60)) minutes (\(source))" }
    }

    /// The time for which a delivery of a queue may stay unsettled; `nil` means no limit.
    ///
    /// The lesser of argument and policy applies; if there is neither, the broker's setting does.
    private static func timeout(of lane: String, _ facts: DoctorFacts) -> Timeout? {
        let kind = QueueKind(rawValue: facts.kind(of: lane))
        guard facts.features.hasConsumerTimeout(of: kind) else { return nil }
        var candidates: [Timeout] = []
        if facts.features.consumerTimeoutArgument(of: kind) == .obeyed {
            let argument = facts.differences(of: lane).first { $0.argument == "x-consumer-timeout" }
            if let milliseconds = argument?.existing.flatMap({ Int($0) }) {
                candidates.append(Timeout(duration: .milliseconds(milliseconds), source: "its x-consumer-timeout"))
            }
            if let (milliseconds, policy) = facts.policyValue("consumer-timeout", on: lane) {
                candidates.append(Timeout(duration: .milliseconds(milliseconds), source: "the policy '\(policy)'"))
            }
        }
        if let least = candidates.min(by: { $0.duration < $1.duration }) { return least }
        if let assumed = facts.assumptions.consumerTimeout {
            return assumed > .zero ? Timeout(duration: assumed, source: "--consumer-timeout") : nil
        }
        return facts.features.defaultConsumerTimeout(of: kind).map {
            Timeout(duration: $0, source: "RabbitMQ's default; pass --consumer-timeout if rabbitmq.conf sets another")
        }
    }

    private static func tooLong(
        _ job: JobLimits,
        _ limit: Duration,
        _ lane: String,
        _ timeout: Timeout,
        _ facts: DoctorFacts
    ) -> Finding {
        Finding(
            .error,
            .consumerTimeout,
            job.name,
            problem:
                "The job '\(job.name)' may run \(limit / .seconds(60)) minutes, and the broker waits for a settlement in '\(lane)' for "
                + "\(timeout.text).",
            consequence:
                "A run that takes longer is redelivered while it still runs, over and over. \(redelivery(facts))",
            remedy: "Lower the job's time limit, split it, or raise the timeout. \(settings(facts))"
        )
    }

    private static func slowShutdown(_ lane: String, _ timeout: Timeout, _ facts: DoctorFacts) -> Finding {
        Finding(
            .warning,
            .consumerTimeout,
            lane,
            problem:
                "Workers may take \(facts.assumptions.shutdownTimeout / .seconds(60)) minutes to shut down, and the broker waits for a "
                + "settlement in '\(lane)' for \(timeout.text).",
            consequence:
                "Jobs that a stopping worker lets finish are redelivered while they run. \(redelivery(facts))",
            remedy: "Lower the workers' --shutdown-timeout, or raise the timeout. \(settings(facts))"
        )
    }

    private static func redelivery(_ facts: DoctorFacts) -> String {
        switch facts.features.consumerTimeoutResponse {
        case .closesChannel: "The broker closes the worker's channel (406) and requeues all its deliveries."
        case .cancelsConsumer: "The broker cancels the worker's consumer, and the late acknowledgement has no effect."
        }
    }

    private static func settings(_ facts: DoctorFacts) -> String {
        let isObeyed = facts.features.consumerTimeoutArgument(of: .quorum) == .obeyed
        return isObeyed
            ? "A policy with consumer-timeout (in milliseconds) sets it for some queues, consumer_timeout in rabbitmq.conf for all."
            : "consumer_timeout (in milliseconds) in rabbitmq.conf sets it; RabbitMQ \(facts.broker.version) has no policy for it."
    }
}

/// Checks whether jobs can finish while a worker shuts down.
enum ShutdownCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        let deadline = facts.assumptions.shutdownTimeout
        let longer = facts.jobs.filter { $0.timeLimit.map { $0 > deadline } ?? false }.map(\.name)
        guard !longer.isEmpty else { return [] }
        return [
            Finding(
                .note,
                .shutdown,
                longer.count == 1 ? longer[0] : nil,
                problem: "The jobs \(longer.sorted().quotedList) may run longer than the shutdown timeout of "
                    + "\(deadline / .seconds(1)) seconds.",
                consequence:
                    "At every deployment such a run is cancelled, requeued and started again from the beginning.",
                remedy:
                    "Raise the workers' --shutdown-timeout (and, in Kubernetes, terminationGracePeriodSeconds above it), or make "
                    + "the jobs resume from where they stopped."
            )
        ]
    }
}
