import AMQP
import RabbitMQ
import Warren

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
