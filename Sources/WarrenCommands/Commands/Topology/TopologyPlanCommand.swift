import AMQP
public import ArgumentParser
import Warren

/// `topology plan`: what would be declared.
public struct TopologyPlanCommand<App: WarrenApplication>: BrokerCommand {
    /// Name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "plan",
            abstract: "Show what would be declared, in order.",
            discussion: """
                A few arguments depend on the broker's version, which is asked for unless given.

                With --json each line is an object: kind (exchange, queue or binding), name, details.
                """
        )
    }

    @OptionGroup var target: TargetOptions<App>
    @Flag(name: .customLong("no-delays"), help: "Leave the delay ladder out.")
    var leavesDelaysOut = false
    @Option(
        help: ArgumentHelp("Plan for this version of RabbitMQ, without asking the broker.", valueName: "version"),
        transform: TopologyPlanCommand.version
    )
    var brokerVersion: BrokerVersion?
    @OptionGroup var output: OutputOptions
    /// Where the broker is.
    @OptionGroup public var brokerOptions: BrokerOptions

    /// A command whose options are yet to be parsed.
    public init() {}

    /// Prints the plan.
    public func run() async throws {
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
        let plan = topology.plan(for: queues, delays: !leavesDelaysOut, broker: version)
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
        guard let version = BrokerVersion(text) else { throw ValidationError("'\(text)' is no version, such as 4.3.") }
        return version
    }
}
