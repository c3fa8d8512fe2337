import ArgumentParser
import RabbitMQ
import TestSupport
import Warren

/// A spool, and the client that uses it.
struct SpoolOptions: ParsableArguments {
    @Option var broker: String
    @Option var application: String
    @Option var queue: String
    @Option(help: "The spool's file.") var spool: String

    func client() throws -> JobClient {
        try JobClient(
            .rabbitMQ(broker),
            topology: Topology(application: application, queues: [QueueConfiguration(QueueName(queue))]),
            spool: try Spool(at: spool, limit: 64 << 20)
        )
    }
}

/// Enqueues jobs until it fails, and writes their ids and at last the error, a line each.
struct FillSpool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "fill-spool")

    @OptionGroup var options: SpoolOptions

    func run() async throws {
        let jobs = try options.client()
        do {
            for number in 0..<10_000 {
                print(try await jobs.enqueue(Probe(number: number), queue: QueueName(options.queue)).id)
            }
        } catch {
            print("failed:", error)
        }
    }
}

/// Sends everything in the spool, or is killed on the way.
struct ReplaySpool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "replay-spool")

    @OptionGroup var options: SpoolOptions

    func run() async throws {
        try await options.client().flushSpool(timeout: .seconds(60))
    }
}
