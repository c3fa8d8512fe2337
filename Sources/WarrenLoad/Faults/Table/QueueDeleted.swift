import RabbitMQ
import Warren

/// The queue deleted while workers consume it.
struct QueueDeleted: Fault {
    let name = "queue-deleted"
    let summary = "queue deleted under its consumers; what was in it is discarded"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let setup = Experiment.Setup(broker: try await broker.url(), load: .standard(context))
        return try await Experiment.run(name, context, setup) { experiment in
            for _ in 0..<context.size(short: 2, long: 5) {
                try await experiment.waitForJobs(context.size(short: 100, long: 2_000))
                try await experiment.enqueuer.pause()
                let inQueue = try await experiment.observer.deleteQueue(experiment.queue.rawValue)
                experiment.mark(countsNewJobsOnly: true)
                try experiment.book.readJournals()
                experiment.book.with { $0.waiveOpen() }
                experiment.figure("in_queue", Double(inQueue))
                experiment.enqueuer.resume()
                try await experiment.waitForJobs(context.size(short: 100, long: 2_000))
            }
        } judge: { experiment, ledger in
            let inQueues = experiment.findings.figures.filter { $0.name == "in_queue" }.reduce(0) { $0 + $1.value }
            experiment.owe(
                Double(ledger.balance.discarded) <= inQueues,
                "\(ledger.balance.discarded) jobs are gone, and \(FaultReport.number(inQueues)) were in the queue"
            )
        }
    }
}
