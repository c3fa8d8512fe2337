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
    var namedQueues: [QueueArgument.Item] {
        var seen: Set<QueueName> = []
        return arguments.flatMap(\.items).filter { seen.insert($0.name).inserted }
    }

    /// The topology, checked.
    func topology() throws -> Topology {
        let topology = try App.topology(topologyOptions, for: namedQueues.map(\.name))
        try topology.validate()
        return topology
    }

    /// The queues asked for, or else those of the application.
    ///
    /// - Throws: `ValidationError` if there are none.
    func queues(_ topology: Topology) throws -> [QueueArgument.Item] {
        let queues = namedQueues.isEmpty ? App.queues(topology).map { QueueArgument.Item(name: $0) } : namedQueues
        guard !queues.isEmpty else { throw ValidationError("Say which queues: --queues a,b") }
        return queues
    }
}

/// Queues as a command line gives them, with a worker's concurrency for each if wanted: `emails,reports=4`.
struct QueueArgument: ExpressibleByArgument, Sendable, Hashable {
    /// A queue, and how many of its jobs run at once.
    struct Item: Sendable, Hashable {
        var name: QueueName
        var concurrency: Int?
    }

    var items: [Item]

    /// `nil` if a name can't be a queue's, or a concurrency is no number from 1.
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

extension [QueueArgument] {
    /// All the queues, in the order given.
    var items: [QueueArgument.Item] { flatMap(\.items) }
}
