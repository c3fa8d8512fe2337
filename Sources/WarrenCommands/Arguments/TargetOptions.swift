import ArgumentParser
import Warren

/// The options that select the queues and the topology that a command works on.
struct TargetOptions<App: WarrenApplication>: ParsableArguments {
    @Option(
        name: .customLong("queues"),
        help: ArgumentHelp(
            "The queues, separated by commas.",
            discussion: "Default: all queues that the application declares.",
            valueName: "a,b"
        )
    )
    var arguments: [QueueArgument] = []

    @OptionGroup
    var topologyOptions: App.TopologyOptions

    /// The queues on the command line, each once, in the order given.
    var namedQueues: [QueueArgument.Item] {
        var seen: Set<QueueName> = []
        return arguments.flatMap(\.items).filter { seen.insert($0.name).inserted }
    }

    /// Returns the topology, validated.
    func topology() throws -> Topology {
        let topology = try App.topology(topologyOptions, for: namedQueues.map(\.name))
        try topology.validate()
        return topology
    }

    /// Returns the queues named on the command line, or else those of the application.
    ///
    /// - Throws: `ValidationError` if there are none.
    func queues(_ topology: Topology) throws -> [QueueArgument.Item] {
        let queues = namedQueues.isEmpty ? App.queues(topology).map { QueueArgument.Item(name: $0) } : namedQueues
        guard !queues.isEmpty else { throw ValidationError("No queues given. Name them: --queues a,b") }
        return queues
    }
}

/// A comma-separated list of queues, each with an optional worker concurrency: `emails,reports=4`.
struct QueueArgument: ExpressibleByArgument, Sendable, Hashable {
    /// A queue, and the number of its jobs that a worker runs at once, if given.
    struct Item: Sendable, Hashable {
        var name: QueueName
        var concurrency: Int?
    }

    var items: [Item]

    /// Parses a list; `nil` if a name is not a valid queue name, or a concurrency is not a number of at least 1.
    init?(argument: String) {
        items = []
        for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = QueueName(String(parts[0]))
            guard (try? name.validate()) != nil else { return nil }
            var item = Item(name: name)
            if parts.count == 2 {
                guard let concurrency = Int(parts[1]), concurrency > 0 else { return nil }
                item.concurrency = concurrency
            }
            items.append(item)
        }
    }
}
