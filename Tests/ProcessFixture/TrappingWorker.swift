import AMQP
import ArgumentParser
import Foundation
import RabbitMQ
import TestSupport
import Warren

/// A worker whose handler takes its process down at one job.
///
/// The numbers of the others go to standard output, a line each.
struct TrappingWorker: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "trapping-worker")

    @Option var broker: String
    @Option var application: String
    @Option var queue: String
    @Option var queueType: String
    @Option var name: String
    @Option(help: "The number of the job that traps.") var fatal: Int

    func run() async throws {
        let fatal = fatal
        let configuration = QueueConfiguration(QueueName(queue), kind: QueueKind(rawValue: queueType))
        let worker = try Worker(
            .rabbitMQ(broker),
            queues: [WorkerQueue(QueueName(queue), concurrency: 4)],
            topology: Topology(application: application, queues: [configuration]),
            settings: WorkerSettings(name: name)
        ) {
            Handler(Probe.self) { job, _ in
                if job.number == fatal { fatalError("Job \(job.number) traps, as the test wants.") }
                FileHandle.standardOutput.write(Data("\(job.number)\n".utf8))
            }
        }
        try await worker.runService()
    }
}
