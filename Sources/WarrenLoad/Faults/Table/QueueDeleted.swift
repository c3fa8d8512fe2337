import RabbitMQ
import Warren

/// The queue deleted while workers consume it.
struct QueueDeleted: Fault {
    let name = "queue-deleted"
    let summary = "queue deleted under its consumers; what was in it is discarded"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let deletions = context.size(short: 2, long: 5)
        let setup = Experiment.Setup(
            broker: try await broker.url(),
            // More than the workers have slots for, so that there is something in the queue.
            load: .standard(context) { _ in FaultJob(milliseconds: context.size(short: 300, long: 60)) }
        )
        return try await Experiment.run(name, context, setup) { experiment in
            var inQueues = 0
            for _ in 0..<deletions {
                try await experiment.waitForJobs(context.size(short: 100, long: 2_000))
                try await experiment.enqueuer.pause()
                let inQueue = try await experiment.observer.deleteQueue(experiment.queue.rawValue)
                experiment.mark(countsNewJobsOnly: true)
                try experiment.book.readJournals()
                experiment.book.with { $0.waiveOpen() }
                inQueues += inQueue
                experiment.enqueuer.resume()
                try await experiment.waitForJobs(context.size(short: 100, long: 2_000), within: .seconds(20))
            }
            experiment.figure("in_queue", Double(inQueues))
        } judge: { experiment, ledger in
            let inQueues = Int(experiment.findings.figures.first { $0.name == "in_queue" }?.value ?? 0)
            // The broker tells of what was ready; a worker has up to twice its slots that are not.
            let held = deletions * experiment.setup.workers * 2 * experiment.setup.concurrency
            experiment.owe(
                ledger.balance.discarded <= inQueues + held,
                "\(ledger.balance.discarded) jobs are gone, and \(inQueues) were in the queue and at most \(held) with workers"
            )
        }
    }
}
