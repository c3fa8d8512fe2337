import AMQP
import ArgumentParser
import Warren

/// The options that select the queues and the topology that a command works on.
struct TargetOptions<App: WarrenApplication>: ParsableArguments {
    @Option(
        name: .customLong("queues"),
        help: ArgumentHelp(
            "The queues, separated by commas.",
            discussion: """
                Default: all queues that the application declares; if it declares none, 'status', 'doctor' and 'dead' find those \
                that are bound to its exchange, in an embedded broker's file or by the management API.
                """,
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

extension TargetOptions {
    /// Returns the topology and the queues: those named on the command line, those of the application, or else those
    /// that are bound to the application's exchange on the broker.
    ///
    /// - Throws: `ValidationError` if there are none, or none can be found.
    func resolved(
        on broker: any Transport,
        _ management: ManagementReader?
    ) async throws -> (topology: Topology, queues: [QueueName]) {
        var topology = try topology()
        let known = namedQueues.isEmpty ? App.queues(topology) : namedQueues.map(\.name)
        guard known.isEmpty else { return (topology, known) }
        let bound = BoundQueues(try await bindings(from: topology.exchange, on: broker, management))
        guard !bound.names.isEmpty else {
            throw ValidationError(
                "No queue is bound to the exchange '\(topology.exchange)'. Name the queues: --queues a,b"
            )
        }
        topology = try App.topology(topologyOptions, for: bound.names)
        bound.addLanes(to: &topology)
        try topology.validate()
        return (topology, bound.names)
    }

    private func bindings(
        from exchange: String,
        on broker: any Transport,
        _ management: ManagementReader?
    ) async throws -> [Binding] {
        if let directory = broker as? any BindingDirectory { return directory.bindings(from: exchange) }
        guard let management else {
            throw ValidationError(
                """
                No queues given. Name them, --queues a,b, or let them be found by RabbitMQ's management API: \
                --management http://user:password@host:15672, or $WARREN_BROKER_MANAGEMENT_URL.
                """
            )
        }
        do throws(ManagementReader.Failure) {
            return try await management.bindings(from: exchange)
        } catch {
            throw ValidationError(
                "No queues given, and the management API can't say which there are: \(error.text). Name them: --queues a,b"
            )
        }
    }
}

/// The job queues of an application as its exchange's bindings show them.
struct BoundQueues {
    /// The queues, sorted.
    let names: [QueueName]
    private let lanes: [QueueName: Set<Lane>]

    /// - Parameter bindings: The bindings from the application's exchange. Those of its queues have the queue's name as
    ///   routing key; others, such as patterns of events, are of other programs.
    init(_ bindings: [Binding]) {
        var lanes: [QueueName: Set<Lane>] = [:]
        for binding in bindings {
            guard case .queue(let name) = binding.target, binding.routingKey == name else { continue }
            for lane in Lane.all {
                let suffix = lane == .normal ? "" : ".\(lane.name)"
                let queue = QueueName(String(name.dropLast(suffix.utf8.count)))
                guard lane.queue(of: queue) == name, (try? queue.validate()) != nil else { continue }
                lanes[queue, default: []].insert(lane)
            }
        }
        self.lanes = lanes
        names = lanes.keys.sorted()
    }

    /// Adds the lanes that exist to the queues' configurations.
    func addLanes(to topology: inout Topology) {
        for name in names {
            let existing = topology.configuration(of: name)
            var configuration = existing
            let found = lanes[name] ?? []
            configuration.lanes = Lane.all.filter { existing.lanes.contains($0) || found.contains($0) }
            topology.queues.removeAll { $0.name == name }
            topology.queues.append(configuration)
        }
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
