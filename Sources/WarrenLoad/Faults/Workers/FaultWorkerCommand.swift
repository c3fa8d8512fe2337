import AMQP
import ArgumentParser
import Foundation
import Logging
import RabbitMQ
import Warren

/// `warren-load fault-worker`: a worker process for the experiments to disturb.
struct FaultWorkerCommand: AsyncParsableCommand {
    /// The header that names a hostile message, whatever else is wrong with it.
    static let idHeader = "warren-load-id"

    static let configuration = CommandConfiguration(
        commandName: "fault-worker",
        abstract: "Works on the jobs of an experiment, and keeps a journal.",
        shouldDisplay: false
    )

    @Option var url: String
    @Option var application: String
    @Option var queue: String
    @Option var journal: String
    @Option var name: String
    @Option var concurrency: Int

    func run() async throws {
        Self.endWithParent()
        let journal = try JournalFile(path: journal)
        let client = RabbitMQClient(url: url, connectionName: name)
        let worker = Worker(
            client,
            queues: [WorkerQueue(QueueName(queue), concurrency: concurrency)],
            topology: Topology(application: application),
            settings: WorkerSettings(name: name, shutdownTimeout: .seconds(20)),
            logger: Logger(label: "fault-worker") { StreamLogHandler.standardError(label: $0) }
        ) {
            Handler(FaultJob.self) { job, context in
                let id = context.headers[Self.idHeader]?.stringValue ?? context.id
                try journal.write(.begun, id)
                if job.crashes == true { fatalError("This job takes its process down, as the experiment wants.") }
                let pause = context.isRedelivered ? job.milliseconds : job.firstMilliseconds ?? job.milliseconds
                if pause > 0 { try await Task.sleep(for: .milliseconds(pause), tolerance: .zero) }
                try journal.write(.done, id)
            }
        }
        try await worker.runService()
        await client.close()
    }

    /// Ends this process when the one that started it is gone, which closes the other end of standard input.
    private static func endWithParent() {
        FileHandle.standardInput.readabilityHandler = { input in
            if input.availableData.isEmpty { Foundation.exit(3) }
        }
    }
}

/// The job of the experiments: takes a while, and may take its process down.
struct FaultJob: Job {
    static let name = "warren-load.fault"
    static let queue: QueueName = "faults"
    static let retry: RetryPolicy = .none

    /// How long it takes.
    var milliseconds: Int
    /// How long it takes when it is delivered for the first time, if that is something else.
    var firstMilliseconds: Int?
    /// Whether it takes its process down.
    var crashes: Bool?
    /// Something to make it larger.
    var text: String?
}
