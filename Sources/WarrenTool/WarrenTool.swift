import AMQP
import ArgumentParser
import Brokers
import EmbeddedBroker
import EmbeddedStore
import Warren
import WarrenCommands

/// The `warren` program: the commands for any application's queues; it declares no jobs itself.
@main
struct WarrenTool: WarrenApplication {
    static let configuration = CommandConfiguration(
        commandName: "warren",
        abstract: "Look after job queues on RabbitMQ.",
        discussion: """
            An application that embeds WarrenCommands has the same commands, knows its own queues and jobs, and has \
            'worker' too. Here, say which queues: --queues a,b. 'status', 'doctor' and 'dead' find those that are bound to the \
            application's exchange if they can ask RabbitMQ's management API (--management). With --broker file:///path/jobs.db it looks into the file of \
            a durable embedded broker, while no program has it.

            Exit codes: 0 done, 1 failed, 64 the command line can't be understood; 'doctor' has more. Errors go to standard \
            error.
            """,
        version: PackageVersion.current,
        subcommands: standardCommands.filter { $0 != WorkerCommand<WarrenTool>.self }
    )

    static let jobs: [any Job.Type] = []

    static func handlers(_ setup: WorkerSetup<NoOptions>) -> [JobRegistration] {}

    static func openBroker(at url: String, name: String) async throws -> any Transport {
        url.hasPrefix("file:") ? try await EmbeddedBroker.open(url: url) : try await Broker.open(url, name: name)
    }

    struct TopologyOptions: ParsableArguments {
        @Option(help: ArgumentHelp("The application: the name of its exchange.", valueName: "name"))
        var application = "warren"

        @Option(
            name: .customLong("lanes"),
            help: ArgumentHelp("The lanes of the queues: high, low, or both.", valueName: "a,b"),
            transform: WarrenTool.lanes
        )
        var lanes: [Lane] = [.normal]

        @Flag(help: "The queues are classic queues, not quorum queues.")
        var classic = false
    }

    static func topology(_ options: TopologyOptions, for queues: [QueueName]) -> Topology {
        let kind: QueueKind = options.classic ? .classic : .quorum
        return Topology(
            application: options.application,
            queues: queues.map { QueueConfiguration($0, kind: kind, lanes: options.lanes) }
        )
    }

    private static func lanes(_ text: String) throws -> [Lane] {
        try text.split(separator: ",").map { try Lane(argument: String($0)) }
    }
}
