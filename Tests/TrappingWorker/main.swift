// A worker of the integration tests whose one handler takes its process down. Arguments: the application's name and its queue.
import RabbitMQ
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

struct Probe: Job {
    static let name = "tests.probe"
    static let queue: QueueName = "unused"

    var number: Int
}

let arguments = CommandLine.arguments
let url = ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "amqp://guest:guest@127.0.0.1:5672/%2f"
let queue = QueueName(arguments[2])
let topology = Topology(application: arguments[1], queues: [QueueConfiguration(queue)])
let worker = Worker(.rabbitMQ(url), queues: [WorkerQueue(queue)], topology: topology) {
    Handle(Probe.self) { job, _ in fatalError("Job \(job.number) traps, as the test wants.") }
}
try await worker.runUntilSignalled()
