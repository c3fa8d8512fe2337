import ArgumentParser

/// `warren-load`: the source of our published figures.
@main
struct WarrenLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warren-load",
        abstract: "Compares Warren with plain C on a broker, and injects faults around it.",
        discussion: """
            Machines differ and are noisy, so only ratios within one run count: C and Warren take turns with the same \
            broker, \
            messages and queue. Each measurement has a separate process, and the median of the repetitions is shown.

            Build with -c release, and run nothing else at the same time.
            """,
        subcommands: [
            ClientCommand.self, JobsCommand.self, EmbeddedCommand.self, FaultsCommand.self, FuzzCommand.self,
            SoakCommand.self, RunCommand.self, FaultWorkerCommand.self,
        ]
    )
}

/// The reason why a measurement or experiment failed.
struct LoadError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
