public import ArgumentParser

/// `dead`: the jobs that can't succeed.
public struct DeadCommand<App: WarrenApplication>: AsyncParsableCommand {
    /// Name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "dead",
            abstract: "Look at the jobs that can't succeed, put them back, or throw them away.",
            discussion: """
                AMQP can't look at a message without taking it: for as long as a command runs, nobody else sees what it has \
                looked at, and then it goes back.
                """,
            subcommands: [
                DeadListCommand<App>.self, DeadShowCommand<App>.self, DeadReplayCommand<App>.self,
                DeadDiscardCommand<App>.self,
            ]
        )
    }

    /// A command whose options are yet to be parsed.
    public init() {}
}
