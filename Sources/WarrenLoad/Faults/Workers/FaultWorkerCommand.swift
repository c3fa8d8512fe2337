import AMQP
import ArgumentParser
import Foundation
import Logging
import RabbitMQ
import Warren

/// `warren-load fault-worker`: a worker process of the experiments.
struct FaultWorkerCommand: AsyncParsableCommand {
    /// The header that identifies a hostile message, whatever else is wrong with it.
    static let idHeader = "warren-load-id"

    static let configuration = CommandConfiguration(
        commandName: "fault-worker",
        abstract: "Runs the jobs of an experiment, and writes an event log.",
        shouldDisplay: false
    )

    @Option var url: String
    @Option var application: String
    /// The names of the queues, separated by commas.
    @Option var queues: String
    @Option var eventLog: String
    @Option var name: String
    @Option var concurrency: Int
    /// The kind of the queues.
    @Option var kind: String

    func run() async throws {
        Self.endWithParent()
        let events = try EventLogWriter(path: eventLog)
        let client = try RabbitMQClient(url: url, connectionName: name)
        let queues = queues.split(separator: ",").map { QueueName(String($0)) }
        let worker = Worker(
            client,
            queues: queues.map { WorkerQueue($0, concurrency: concurrency) },
            topology: Topology(
                application: application,
                queues: queues.map { QueueConfiguration($0, kind: QueueKind(rawValue: kind)) }
            ),
            settings: WorkerSettings(name: name, shutdownTimeout: .seconds(20)),
            logger: Logger(label: "fault-worker") { StreamLogHandler.standardError(label: $0) }
        ) {
            Handler(FaultJob.self) { job, context in
                let id = context.headers[Self.idHeader]?.stringValue ?? context.id
                try events.write(context.isRedelivered ? .begunAgain : .begun, id)
                if job.crashes == true { fatalError("This job crashes its process for the experiment.") }
                let pause = context.isRedelivered ? job.milliseconds : job.firstMilliseconds ?? job.milliseconds
                if pause > 0 { try await Task.sleep(for: .milliseconds(pause), tolerance: .zero) }
                if job.fails == true { throw JobFailure.permanent("This job fails for the experiment.") }
                try events.write(.done, id)
            }
        }
        try await worker.runService()
        await client.close()
    }

    /// Ends this process when the one that started it ends, which closes the other end of standard input.
    private static func endWithParent() {
        FileHandle.standardInput.readabilityHandler = { input in
            if input.availableData.isEmpty { Foundation.exit(3) }
        }
    }
}

/// The job of the experiments, which takes a while and may crash its process.
struct FaultJob: Job {
    static let name = "warren-load.fault"
    static let queue: QueueName = "faults"
    static let retry: RetryPolicy = .none

    /// The time that the job takes.
    var milliseconds: Int
    /// The time that the job takes at its first delivery, if that differs.
    var firstMilliseconds: Int?
    /// True if the job crashes its process.
    var crashes: Bool?
    /// True if the job fails for good.
    var fails: Bool?
    /// Filling that makes the job larger.
    var text: String?
}
