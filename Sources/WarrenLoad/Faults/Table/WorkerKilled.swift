/// `kill -9` of one worker after another.
struct WorkerKilled: Fault {
    let name = "worker-killed"
    let summary = "`kill -9` of one of three workers, repeatedly"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let kills = context.size(short: 3, long: 20)
        // As many run at a time as three workers have slots for, more or less.
        let load = JobLoad.standard(context) { _ in FaultJob(milliseconds: context.size(short: 150, long: 30)) }
        return try await Experiment.run(name, context, .init(broker: try await broker.url(), load: load)) {
            experiment in
            var killed: [String] = []
            for round in 0..<kills {
                try await experiment.waitForJobs(context.size(short: 60, long: 800))
                killed.append(try await experiment.crew.kill(round % 3))
                experiment.mark()
                try experiment.crew.restart(round % 3)
            }
            try await experiment.waitForJobs(context.size(short: 60, long: 800))
            let names = killed
            let running = experiment.book.with { ledger in names.reduce(0) { $0 + (ledger.begun[$1]?.count ?? 0) } }
            experiment.figure("kills", Double(kills))
            experiment.figure("running_at_kills", Double(running))
        } judge: { experiment, ledger in
            let running = experiment.findings.figures.first { $0.name == "running_at_kills" }?.value ?? 0
            experiment.owe(
                Double(ledger.duplicated) <= running,
                "\(ledger.duplicated) duplicates, and \(FaultReport.number(running)) jobs ran at the kills"
            )
        }
    }
}
