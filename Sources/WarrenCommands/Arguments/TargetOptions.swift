import ArgumentParser
import Warren

/// Which queues of which topology a command is about.
struct TargetOptions<App: WarrenApplication>: ParsableArguments {
    @Option(
        name: .customLong("queues"),
        help: ArgumentHelp(
            "The queues, with commas between them.",
            discussion: "Default: all that the application declares.",
            valueName: "a,b"
        )
    )
    var arguments: [QueueArgument] = []

    @OptionGroup
    var topologyOptions: App.TopologyOptions

    /// The queues on the command line, each once, in the order given.
    var named: [QueueArgument.Item] {
        var seen: Set<QueueName> = []
        return arguments.flatMap(\.items).filter { seen.insert($0.name).inserted }
    }

    /// The topology, checked.
    func topology() throws -> Topology {
        let topology = try App.topology(topologyOptions, for: named.map(\.name))
        try topology.validate()
        return topology
    }

    /// The queues asked for, or else those of the application.
    ///
    /// - Throws: `ValidationError` if there are none.
    func queues(_ topology: Topology) throws -> [QueueArgument.Item] {
        let queues = named.isEmpty ? App.queues(topology).map { QueueArgument.Item(name: $0) } : named
        guard !queues.isEmpty else { throw ValidationError("Say which queues: --queues a,b") }
        return queues
    }
}
