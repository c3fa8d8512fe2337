import Warren

/// Whether the delay ladder is whole.
enum LadderCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        missing(facts) + different(facts) + unrouted(facts)
    }

    private static func missing(_ facts: DoctorFacts) -> [Finding] {
        let missing = facts.inspection.missing.filter { DoctorFacts.ladderNames.contains($0.name) }
        guard !missing.isEmpty else { return [] }
        let all = DelayLadder.plan.exchanges.count + DelayLadder.plan.queues.count
        let isInUse = facts.queues.contains { !facts.isMissing($0.rawValue) }
        let whole = missing.count == all
        let names = missing.map { "\($0.kind) \($0.name)" }
        return [
            Finding(
                whole && !isInUse ? .warning : .error,
                .ladder,
                problem: whole
                    ? "The delay ladder doesn't exist: none of its \(all) exchanges and queues."
                    : "The delay ladder has gaps: of its \(all) exchanges and queues \(missing.count) are missing, \(NameList.text(names)).",
                consequence: "Jobs with a delay can't be enqueued, and failed jobs can't be sent to their next attempt"
                    + (whole ? "." : "; delays that pass a gap end there, in the queue above it or nowhere."),
                remedy: "Run 'topology apply', or start a worker: both declare what is missing and keep what waits."
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
                    "\(facts.unrouted) delayed messages had nowhere to go: no queue is bound for their destination.",
                consequence: "They wait in '\(DelayLadder.unroutedName)' for ever, and their jobs don't run.",
                remedy:
                    "Start a worker of the application they are for, or 'topology apply' for it; then move them, with a shovel, to "
                    + "the exchange '\(DelayLadder.deliveryExchange)'."
            )
        ]
    }
}
