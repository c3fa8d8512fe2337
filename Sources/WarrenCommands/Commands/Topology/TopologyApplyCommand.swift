import AMQP
public import ArgumentParser
import Warren

/// `topology apply`: declares everything.
public struct TopologyApplyCommand<App: WarrenApplication>: BrokerCommand {
    /// Name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "apply",
            abstract: "Declare exchanges, queues and bindings.",
            discussion: """
                What exists and is different stays as it is; each difference is shown with what would settle it, and the exit \
                code is 1.

                With --json the output is one object: matching (the number of declarations that are as planned) and differences, each \
                with kind, name, argument, planned, existing, remedy.
                """
        )
    }

    @OptionGroup var target: TargetOptions<App>
    @Flag(name: .customLong("no-delays"), help: "Leave the delay ladder out.")
    var leavesDelaysOut = false
    @OptionGroup var output: OutputOptions
    /// Where the broker is.
    @OptionGroup public var brokerOptions: BrokerOptions

    /// A command whose options are yet to be parsed.
    public init() {}

    /// Declares, and reports.
    public func run() async throws {
        let topology = try target.topology()
        let queues = try target.queues(topology).map(\.name)
        let report = try await brokerOptions.withBroker(as: "topology apply", of: App.self) { broker in
            let version = try await broker.broker().version
            return try await topology.plan(for: queues, delays: !leavesDelaysOut, broker: version).apply(to: broker)
        }
        if output.isJSON {
            try Output.json(report)
        } else {
            Output.line("\(report.matching) declarations are as planned, \(report.differences.count) differences.")
            for difference in report.differences { Output.line("- \(difference)") }
        }
        if report.hasDrift { throw ExitCode.failure }
    }
}
