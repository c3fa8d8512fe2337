import Foundation
import Warren

struct Greet: Job {
    static let name = "quick-start.greet"
    static let queue: QueueName = "quick-start"

    var who: String
}

// A broker in this process; with WARREN_BROKER_URL=amqp://guest:guest@127.0.0.1:5672/%2f it is RabbitMQ.
let broker = try await Broker.open(ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "memory://")

let jobs = JobClient(broker)
try await jobs.enqueue(Greet(who: "Ada"), delay: .seconds(2))
print("Enqueued. The broker keeps the job for two seconds; Ctrl-C ends this program.")

let worker = Worker(broker, queues: ["quick-start"]) {
    Handler(Greet.self) { job, context in print("Hello, \(job.who)! (attempt \(context.attempt))") }
}
try await worker.runService()
await broker.close()
