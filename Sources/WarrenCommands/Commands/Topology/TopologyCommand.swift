public import ArgumentParser

/// `topology`: what the application needs at the broker.
public struct TopologyCommand<App: WarrenApplication>: AsyncParsableCommand {
    /// Name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "topology",
            abstract: "Show or declare the exchanges, queues and bindings.",
            subcommands: [TopologyPlanCommand<App>.self, TopologyApplyCommand<App>.self]
        )
    }

    /// A command whose options are yet to be parsed.
    public init() {}
}
