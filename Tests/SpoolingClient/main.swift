// A client of the integration tests that is killed in the midst of its work. Arguments: `fill` or `replay`, the broker's URL, the application's
// name, its queue, and the spool's file.
import RabbitMQ
import Warren

struct Probe: Job {
    static let name = "tests.probe"
    static let queue: QueueName = "unused"

    var number: Int
}

let arguments = CommandLine.arguments
let topology = Topology(application: arguments[3], queues: [QueueConfiguration(QueueName(arguments[4]))])
let spool = try Spool(at: arguments[5], limit: 64 << 20)
let jobs = JobClient(.rabbitMQ(arguments[2]), topology: topology, spool: spool)
switch arguments[1] {
case "fill":
    do {
        for number in 0..<10_000 {
            print(try await jobs.enqueue(Probe(number: number), queue: QueueName(arguments[4])).id)
        }
    } catch {
        print("failed:", error)
    }
default:
    try await jobs.flushSpool(timeout: .seconds(60))
}
