import AMQP
import RabbitMQ
import Warren

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

/// Jobs that take their process down.
struct PoisonJob: Fault {
    let name = "poison-job"
    let summary = "poison jobs that crash their process"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let poisonous = context.size(short: 1, long: 5)
        let load = JobLoad.standard(context) { number in
            FaultJob(milliseconds: 20, crashes: number % 100 == 0 && number <= 100 * poisonous)
        }
        var setup = Experiment.Setup(broker: try await broker.url(), load: load)
        setup.mayCrash = true
        return try await Experiment.run(name, context, setup) { experiment in
            try await Patience.wait("the poison jobs are quarantined", within: .seconds(60)) {
                let dead = try? await experiment.observer.status(ofQueue: experiment.queue.dead)
                return (dead?.messageCount ?? 0) >= poisonous
            }
            experiment.mark()
            experiment.figure("crashes", Double(experiment.crew.crashes))
        } judge: { experiment, ledger in
            let expected = Dictionary(uniqueKeysWithValues: (1...poisonous).map { ("job-\($0 * 100)", "crashed") })
            experiment.owe(ledger.dead == expected, "dead are \(ledger.dead), and should be \(expected)")
        }
    }
}
