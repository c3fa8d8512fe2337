import AMQP
public import ArgumentParser
import Warren

/// `topology`: shows or declares the exchanges, queues and bindings that the application needs on the broker.
public struct TopologyCommand<App: WarrenApplication>: AsyncParsableCommand {
    /// The command's name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "topology",
            abstract: "Show or declare exchanges, queues and bindings.",
            subcommands: [TopologyPlanCommand<App>.self, TopologyApplyCommand<App>.self]
        )
    }

    /// Creates the command, for its parser.
    public init() {}
}

/// `topology plan`: prints the declarations without making them.
struct TopologyPlanCommand<App: WarrenApplication>: BrokerCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "plan",
            abstract: "Show the declarations in the order in which they would be made.",
            discussion: """
                A few arguments depend on the version of the broker. Without --broker-version the command asks the broker.

                With --json each line is an object: kind (exchange, queue or binding), name, details.
                """
        )
    }

    @OptionGroup var target: TargetOptions<App>
    @Flag(name: .customLong("no-delays"), help: "Leave out the delay ladder.")
    var omitsDelays = false
    @Option(
        help: ArgumentHelp("Plan for this version of RabbitMQ, without asking the broker.", valueName: "version"),
        transform: TopologyPlanCommand.version
    )
    var brokerVersion: BrokerVersion?
    @OptionGroup var output: OutputOptions
    @OptionGroup var brokerOptions: BrokerOptions

    func run() async throws {
        let topology = try target.topology()
        let queues = try target.queues(topology).map(\.name)
        let version: BrokerVersion
        if let brokerVersion {
            version = brokerVersion
        } else {
            version = try await brokerOptions.withBroker(as: "topology plan", of: App.self) {
                try await $0.broker().version
            }
        }
        let plan = topology.plan(for: queues, delays: !omitsDelays, broker: version)
        if output.isJSON {
            for entry in plan.entries { try Output.json(entry) }
        } else {
            Output.line(Self.table(plan))
        }
    }

    static func table(_ plan: TopologyPlan) -> String {
        var table = TextTable([("KIND", .left), ("NAME", .left), ("DETAILS", .left)])
        for entry in plan.entries { table.add([entry.kind, entry.name, entry.details]) }
        return table.text
    }

    private static func version(_ text: String) throws -> BrokerVersion {
        guard let version = BrokerVersion(text) else {
            throw ValidationError("'\(text)' is not a version such as 4.3.")
        }
        return version
    }
}

/// `topology apply`: makes the declarations and prints differences.
struct TopologyApplyCommand<App: WarrenApplication>: BrokerCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "apply",
            abstract: "Declare exchanges, queues and bindings.",
            discussion: """
                Whatever exists with other arguments stays as it is. Each difference is listed with its remedy, and the exit \
                code is 1.

                With --json the output is one object: matching (the number of declarations that are as planned) and \
                differences, each with kind, name, argument, planned, existing, remedy.
                """
        )
    }

    @OptionGroup var target: TargetOptions<App>
    @Flag(name: .customLong("no-delays"), help: "Leave out the delay ladder.")
    var omitsDelays = false
    @OptionGroup var output: OutputOptions
    @OptionGroup var brokerOptions: BrokerOptions

    func run() async throws {
        let topology = try target.topology()
        let queues = try target.queues(topology).map(\.name)
        let report = try await brokerOptions.withBroker(as: "topology apply", of: App.self) { broker in
            let version = try await broker.broker().version
            return try await topology.plan(for: queues, delays: !omitsDelays, broker: version).apply(to: broker)
        }
        if output.isJSON {
            try Output.json(report)
        } else {
            Output.line("\(report.matching) declarations as planned, \(report.differences.count) differences.")
            for difference in report.differences { Output.line("- \(difference)") }
        }
        if report.hasDrift { throw ExitCode.failure }
    }
}
