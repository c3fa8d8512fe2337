extension Experiment {
    /// The report of an experiment that is over.
    func report(_ ledger: Ledger) -> FaultReport {
        let balance = ledger.balance
        let recoveries = marks.map { ledger.recovery(after: $0) }
        owe(
            balance.lost == 0,
            "lost: \(ledger.missing.subtracting(ledger.waived).sorted().prefix(5).joined(separator: ", "))"
        )
        owe(!recoveries.contains(nil), "no job was done after the fault")
        owe(setup.mayCrash || crew.crashes == 0, "\(crew.crashes) workers ended by themselves")
        owe(crew.badEnds == 0, "\(crew.badEnds) workers ended with an error after SIGTERM")
        if enqueuer.worstLateness > 0 { figure("late_ms", enqueuer.worstLateness) }
        owe(
            enqueuer.worstLateness <= context.latenessLimit,
            "an enqueue came back \(FaultReport.number(enqueuer.worstLateness)) ms after its deadline"
        )
        let failures = enqueuer.failures.counts
        if !failures.isEmpty {
            note(
                "enqueues that failed: "
                    + failures.sorted { $0.key < $1.key }.map { "\($1) \($0)" }.joined(separator: ", ")
            )
        }
        let findings = findings
        return FaultReport(
            fault: name,
            balance: balance,
            recovered: recoveries.compactMap(\.self).max(),
            figures: findings.figures,
            notes: findings.notes,
            broken: findings.broken
        )
    }
}
