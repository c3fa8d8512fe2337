import AMQP
import Warren

/// Checks whether the application's exchanges and queues exist and match the plan.
///
/// ``LadderCheck`` and ``DeliveryLimitCheck`` cover the rest.
enum TopologyCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        missingExchanges(facts) + facts.queues.flatMap { missing(of: $0, facts) } + different(facts)
    }

    private static let remedy =
        "Run 'topology apply', or start a worker: it declares its topology unless run with --no-declare-topology."

    private static func missingExchanges(_ facts: DoctorFacts) -> [Finding] {
        // Before the first worker starts, nothing exists yet, which isn't a problem.
        let isInUse = facts.queues.contains { !facts.isMissing($0.rawValue) }
        return [facts.topology.exchange, facts.topology.deadExchange].filter(facts.isMissing).map { name in
            Finding(
                isInUse ? .error : .warning,
                .topology,
                name,
                problem: "The exchange '\(name)' doesn't exist.",
                consequence: name == facts.topology.exchange
                    ? "No job can be enqueued by a client that doesn't declare it."
                    : "Jobs that can't succeed have no destination, and are redelivered.",
                remedy: remedy
            )
        }
    }

    private static func missing(of queue: QueueName, _ facts: DoctorFacts) -> [Finding] {
        let lanes = facts.topology.configuration(of: queue).lanes.map { $0.queue(of: queue) }
        let names = lanes + [queue.dead, queue.parked]
        let missing = names.filter(facts.isMissing)
        if missing == names {
            return [
                Finding(
                    .warning,
                    .topology,
                    queue.rawValue,
                    problem:
                        "The queue '\(queue)' doesn't exist, nor do the queues that belong to it: \(missing.quotedList).",
                    consequence:
                        "Jobs for it are refused as unroutable, unless the client declares it. Either no worker has declared it yet, or it "
                        + "was deleted with its jobs.",
                    remedy: remedy
                )
            ]
        }
        return missing.map { finding(missing: $0, facts) }
    }

    private static func finding(missing name: String, _ facts: DoctorFacts) -> Finding {
        let consequence: String =
            switch facts.role(of: name) {
            case .dead: "Jobs that can't succeed have no destination: they stay unsettled, or in their queue."
            case .parked: "Jobs for which no worker has a handler can't be parked, and circulate between workers."
            case .jobs, .ladder:
                "Jobs for it are refused as unroutable, unless the client declares it; jobs that were in it are lost."
            }
        return Finding(
            .error,
            .topology,
            name,
            problem: "The queue '\(name)' doesn't exist, and others that belong to it do.",
            consequence: consequence,
            remedy: remedy
        )
    }

    private static func different(_ facts: DoctorFacts) -> [Finding] {
        facts.inspection.differences.compactMap { difference in
            guard !DoctorFacts.ladderNames.contains(difference.name), difference.argument != "x-delivery-limit" else {
                return nil
            }
            let meaning = ArgumentMeaning(of: difference.argument ?? "", on: facts.role(of: difference.name))
            return Finding(
                meaning.severity,
                .topology,
                difference.name,
                problem: difference.problem,
                consequence: meaning.consequence,
                remedy: difference.remedy
            )
        }
    }
}

extension TopologyDifference {
    /// The difference, as a sentence without a remedy.
    var problem: String {
        guard let argument else { return "The \(kind) '\(name)' differs from the plan." }
        let found = existing.map { "\(argument) '\($0)'" } ?? "no \(argument)"
        return "The \(kind) '\(name)' has \(found); \(planned.map { "'\($0)' is planned" } ?? "none is planned")."
    }
}

/// Checks whether the delay ladder is complete.
enum LadderCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        missing(facts) + different(facts) + unrouted(facts)
    }

    private static func missing(_ facts: DoctorFacts) -> [Finding] {
        let missing = facts.inspection.missing.filter { DoctorFacts.ladderNames.contains($0.name) }
        guard !missing.isEmpty else { return [] }
        let all = DelayLadder.plan.exchanges.count + DelayLadder.plan.queues.count
        let isInUse = facts.queues.contains { !facts.isMissing($0.rawValue) }
        let isWhollyMissing = missing.count == all
        let names = missing.map { "\($0.kind) \($0.name)" }
        return [
            Finding(
                isWhollyMissing && !isInUse ? .warning : .error,
                .ladder,
                problem: isWhollyMissing
                    ? "The delay ladder doesn't exist: none of its \(all) exchanges and queues."
                    : "The delay ladder has gaps: of its \(all) exchanges and queues \(missing.count) are missing, \(names.quotedList).",
                consequence: "Jobs with a delay can't be enqueued, and failed jobs can't be sent to their next attempt"
                    + (isWhollyMissing
                        ? "."
                        : "; a delay that reaches a gap ends there: its job is lost, or stays in the queue above."),
                remedy: "Run 'topology apply', or start a worker: both declare the missing parts and keep waiting jobs."
            )
        ]
    }

    private static func different(_ facts: DoctorFacts) -> [Finding] {
        facts.inspection.differences.filter { DoctorFacts.ladderNames.contains($0.name) }.map { difference in
            let meaning = ArgumentMeaning(of: difference.argument ?? "", on: .ladder)
            return Finding(
                meaning.severity,
                .ladder,
                difference.name,
                problem: difference.problem,
                consequence: meaning.consequence,
                remedy: difference.remedy
            )
        }
    }

    private static func unrouted(_ facts: DoctorFacts) -> [Finding] {
        guard facts.unrouted > 0 else { return [] }
        return [
            Finding(
                .warning,
                .ladder,
                DelayLadder.unroutedName,
                problem:
                    "\(facts.unrouted) delayed messages could not be delivered: no queue is bound for their destination.",
                consequence: "They stay in '\(DelayLadder.unroutedName)', and their jobs don't run.",
                remedy:
                    "Start a worker of the application that sent them, or run its 'topology apply'; then move them with a shovel to "
                    + "the exchange '\(DelayLadder.deliveryExchange)'."
            )
        ]
    }
}

/// Checks whether exchanges are bound to the planned queues.
///
/// Only the management API reports bindings.
enum BindingCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        guard let existing = facts.management?.bindings else { return [] }
        let found = Set(existing.map(Key.init))
        let missing = facts.plan.steps.compactMap { step -> Binding? in
            guard case .binding(let binding) = step else { return nil }
            let key = Key(binding)
            // A missing exchange or queue is reported by another check.
            guard !facts.isMissing(key.source), !facts.isMissing(key.destination) else { return nil }
            return found.contains(key) ? nil : binding
        }
        return missing.map(finding)
    }

    private static func finding(_ binding: Binding) -> Finding {
        let key = Key(binding)
        let consequence: String =
            if key.source == DelayLadder.deliveryExchange {
                "Delayed jobs and retries for it go to '\(DelayLadder.unroutedName)' and don't run."
            } else if DoctorFacts.ladderNames.contains(key.source) {
                "Delays that reach this binding end here."
            } else if key.source.hasSuffix(".dead") {
                "Jobs that can't succeed don't arrive there."
            } else {
                "Jobs for it are refused as unroutable."
            }
        return Finding(
            .error,
            .bindings,
            key.destination,
            problem: "The \(key.type) '\(key.destination)' is not bound to the exchange '\(key.source)' with the key "
                + "'\(key.routingKey)'.",
            consequence: consequence,
            remedy: "Run 'topology apply', or start a worker."
        )
    }

    private struct Key: Hashable {
        var source: String
        var destination: String
        var type: String
        var routingKey: String

        init(_ binding: ManagedBinding) {
            source = binding.source
            destination = binding.destination
            type = binding.destinationType
            routingKey = binding.routingKey
        }

        init(_ binding: Binding) {
            source = binding.source
            routingKey = binding.routingKey
            switch binding.target {
            case .queue(let name): (destination, type) = (name, "queue")
            case .exchange(let name): (destination, type) = (name, "exchange")
            }
        }
    }
}
