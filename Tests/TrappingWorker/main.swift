// A worker of the integration tests whose handler takes its process down at one job. Arguments: the application's name, its queue, the
// queue's type, the number of the fatal job, the worker's name. The numbers of the others go to standard output, a line each.
import AMQP
import Foundation
import RabbitMQ
import Warren

struct Probe: Job {
    static let name = "tests.probe"
    static let queue: QueueName = "unused"

    var number: Int
}

let arguments = CommandLine.arguments
let url = ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "amqp://guest:guest@127.0.0.1:5672/%2f"
let queue = QueueName(arguments[2])
let kind = QueueKind(rawValue: arguments[3])
let fatal = Int(arguments[4])
let topology = Topology(application: arguments[1], queues: [QueueConfiguration(queue, kind: kind)])
let worker = Worker(
    .rabbitMQ(url),
    queues: [WorkerQueue(queue, concurrency: 4)],
    topology: topology,
    settings: WorkerSettings(name: arguments[5])
) {
    Handler(Probe.self) { job, _ in
        if job.number == fatal { fatalError("Job \(job.number) traps, as the test wants.") }
        FileHandle.standardOutput.write(Data("\(job.number)\n".utf8))
    }
}
try await worker.runService()
