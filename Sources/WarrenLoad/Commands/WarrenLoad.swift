import ArgumentParser

/// `warren-load`: where our published figures come from.
@main
struct WarrenLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warren-load",
        abstract: "Measures Warren beside plain C on a broker, and breaks what is around it.",
        discussion: """
            Machines differ and are noisy, so what counts are ratios within one run: C and Warren take turns with the same broker, \
            messages and queue, each measurement in a process of its own, and the median of the repetitions is shown.

            Build it with -c release, and let nothing else run meanwhile.
            """,
        subcommands: [
            ClientCommand.self, JobsCommand.self, EmbeddedCommand.self, FaultsCommand.self, FuzzCommand.self,
            RunCommand.self,
            FaultWorkerCommand.self,
        ]
    )
}

/// Why a measurement is none.
struct LoadError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
