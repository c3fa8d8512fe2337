import AMQP
import Warren

/// Whether the broker takes jobs away from workers that still run them.
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
                findings.append(deadline(lane, timeout, facts))
            }
        }
        for (text, entry) in unlimited.sorted(by: { $0.key < $1.key }) {
            findings.append(
                Finding(
                    .note,
                    .consumerTimeout,
                    problem:
                        "The jobs \(NameList.text(entry.jobs.sorted())) have no time limit, and the broker gives a delivery \(text).",
                    consequence: "One that runs longer is delivered again while it still runs. \(ending(facts))",
                    remedy: "Give them a time limit below that, or raise the timeout. \(Self.settings(facts))"
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

    /// How long a delivery of a queue may stay unsettled; `nil` for ever.
    ///
    /// Of argument and policy the lesser holds; where there is neither, the broker's setting.
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
            Timeout(duration: $0, source: "RabbitMQ's default; say --consumer-timeout if rabbitmq.conf has another")
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
                "The job '\(job.name)' may run \(limit / .seconds(60)) minutes, and the broker gives a delivery of '\(lane)' "
                + "\(timeout.text).",
            consequence:
                "A run that takes longer is delivered again while it still runs, each time anew. \(ending(facts))",
            remedy: "Lower the job's time limit, split it, or raise the timeout. \(settings(facts))"
        )
    }

    private static func deadline(_ lane: String, _ timeout: Timeout, _ facts: DoctorFacts) -> Finding {
        Finding(
            .warning,
            .consumerTimeout,
            lane,
            problem:
                "Workers may take \(facts.assumptions.shutdownTimeout / .seconds(60)) minutes to shut down, and the broker gives a "
                + "delivery of '\(lane)' \(timeout.text).",
            consequence: "Jobs that a stopping worker lets finish are delivered again while they run. \(ending(facts))",
            remedy: "Lower the workers' --shutdown-timeout, or raise the timeout. \(settings(facts))"
        )
    }

    private static func ending(_ facts: DoctorFacts) -> String {
        switch facts.features.consumerTimeoutResponse {
        case .closesChannel: "The broker closes the worker's channel (406), and all that it holds goes back with it."
        case .cancelsConsumer: "The broker cancels the worker's consumer, and the late acknowledgement does nothing."
        }
    }

    private static func settings(_ facts: DoctorFacts) -> String {
        let isObeyed = facts.features.consumerTimeoutArgument(of: .quorum) == .obeyed
        return isObeyed
            ? "A policy with consumer-timeout (in milliseconds) does it for some queues, consumer_timeout in rabbitmq.conf for all."
            : "consumer_timeout (in milliseconds) in rabbitmq.conf does it; RabbitMQ \(facts.broker.version) knows no policy for it."
    }
}
