import ArgumentParser
import Warren
import WarrenCommands

struct SendEmail: Job {
    static let name = "emails.send"
    static let queue: QueueName = "emails"
    static let lane: Lane = .high
    static let timeToLive: Duration? = .seconds(60)

    var to: String
    var copies: Int?
}

/// An application with a job, a configured queue, an additional option for workers, and a command that replaces a
/// standard one.
struct SampleApplication: WarrenApplication {
    static let configuration = CommandConfiguration(
        commandName: "sample",
        subcommands: commands(with: [OwnEnqueue.self])
    )

    struct OwnEnqueue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "enqueue")
    }

    struct WorkerOptions: ParsableArguments, Sendable {
        @Option var smtp = "localhost"
    }

    static let jobs: [any Job.Type] = [SendEmail.self]
    static let topology = Topology(
        application: "mail",
        queues: [QueueConfiguration("reports", lanes: [.high, .low]), QueueConfiguration("emails", lanes: [.high])]
    )

    static func handlers(_ setup: WorkerSetup<WorkerOptions>) -> [JobRegistration] {
        Handler(SendEmail.self) { _, _ in }
    }
}

/// An application that says no more than it must.
struct PlainApplication: WarrenApplication {
    static let jobs: [any Job.Type] = [SendEmail.self]

    static func handlers(_ setup: WorkerSetup<NoOptions>) -> [JobRegistration] {
        Handler(SendEmail.self) { _, _ in }
    }
}
