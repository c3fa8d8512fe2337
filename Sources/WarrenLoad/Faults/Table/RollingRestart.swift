/// SIGTERM of each worker in turn, as in a deployment.
struct RollingRestart: Fault {
    let name = "rolling-restart"
    let summary = "SIGTERM of three workers in turn, some jobs slow"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let load = JobLoad.standard(context) { number in FaultJob(milliseconds: number % 50 == 0 ? 1_000 : 20) }
        return try await Experiment.run(name, context, .init(broker: try await broker.url(), load: load)) {
            experiment in
            for round in 0..<context.size(short: 3, long: 9) {
                try await experiment.waitForJobs(context.size(short: 60, long: 1_000))
                try await experiment.crew.terminate(round % 3)
                experiment.mark()
                try experiment.crew.restart(round % 3)
            }
        } judge: { experiment, ledger in
            experiment.owe(ledger.duplicated == 0, "\(ledger.duplicated) duplicates, and 0 are owed")
        }
    }
}
