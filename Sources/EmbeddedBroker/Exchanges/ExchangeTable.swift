import AMQP

/// All exchanges of a broker, and the routing of messages through them.
///
/// A value without I/O. It knows queues only by their names.
struct ExchangeTable: Sendable {
    private var exchanges: [String: Exchange] = [:]
    /// The bindings to each queue or exchange.
    private var bindingsByTarget: [Binding.Target: Set<Binding>] = [:]

    init() {
        let predeclared: [(String, ExchangeKind)] = [
            ("", .direct), ("amq.direct", .direct), ("amq.fanout", .fanout), ("amq.topic", .topic),
            ("amq.headers", .headers), ("amq.match", .headers),
        ]
        for (name, kind) in predeclared {
            exchanges[name] = Exchange(ExchangeDeclaration(name, kind: kind), isPredeclared: true)
        }
        let trace = ExchangeDeclaration("amq.rabbitmq.trace", kind: .topic, isInternal: true)
        exchanges[trace.name] = Exchange(trace, isPredeclared: true)
    }

    subscript(name: String) -> Exchange? { exchanges[name] }

    /// All names, sorted.
    var names: [String] { exchanges.keys.sorted() }

    mutating func add(_ declaration: ExchangeDeclaration) { exchanges[declaration.name] = Exchange(declaration) }

    /// Adds a binding whose ends exist; returns false if it exists already.
    mutating func add(_ binding: Binding) -> Bool {
        guard exchanges[binding.source]?.add(binding) == true else { return false }
        bindingsByTarget[binding.target, default: []].insert(binding)
        return true
    }

    /// Everything that a removal removed.
    struct Removal: Sendable, Equatable {
        var bindings: [Binding] = []
        /// The exchange itself, and auto-delete exchanges that lost their last binding.
        var exchanges: [String] = []
    }

    mutating func remove(_ binding: Binding) -> Removal {
        var removed = Removal()
        remove(binding, &removed)
        return removed
    }

    /// Removes an exchange with all bindings from and to it.
    mutating func removeExchange(_ name: String) -> Removal {
        var removed = Removal()
        removeExchange(name, &removed)
        return removed
    }

    /// Removes all bindings to a queue.
    mutating func removeQueue(_ name: String) -> Removal {
        var removed = Removal()
        for binding in bindingsByTarget[.queue(name)] ?? [] { remove(binding, &removed) }
        return removed
    }

    /// Returns whether an exchange has bindings from it.
    func isUsed(_ name: String) -> Bool {
        bindingsByTarget.values.contains { bindings in bindings.contains { $0.source == name } }
    }

    /// The bindings to a queue, sorted by source and key.
    func bindings(toQueue name: String) -> [Binding] {
        (bindingsByTarget[.queue(name)] ?? []).sorted { ($0.source, $0.routingKey) < ($1.source, $1.routingKey) }
    }

    private mutating func removeExchange(_ name: String, _ removed: inout Removal) {
        guard let exchange = exchanges.removeValue(forKey: name) else { return }
        removed.exchanges.append(name)
        for binding in exchange.bindings {
            bindingsByTarget[binding.target]?.remove(binding)
            if bindingsByTarget[binding.target]?.isEmpty == true { bindingsByTarget[binding.target] = nil }
            removed.bindings.append(binding)
        }
        for binding in bindingsByTarget[.exchange(name)] ?? [] { remove(binding, &removed) }
    }

    private mutating func remove(_ binding: Binding, _ removed: inout Removal) {
        guard exchanges[binding.source]?.remove(binding) == true else { return }
        removed.bindings.append(binding)
        bindingsByTarget[binding.target]?.remove(binding)
        if bindingsByTarget[binding.target]?.isEmpty == true { bindingsByTarget[binding.target] = nil }
        if let exchange = exchanges[binding.source], exchange.declaration.isAutoDelete, exchange.bindings.isEmpty {
            removeExchange(binding.source, &removed)
        }
    }

    // MARK: Routing

    /// The queues that a message goes to.
    struct Route: Sendable {
        /// The names of the queues, each once; a name found through the default exchange may not exist.
        var queues: [String] = []
        /// True if only exchange and routing key decided, not the message's headers.
        var isByKey = true
    }

    /// The queues that a message goes to from an exchange, through bindings and alternate exchanges; `nil` if the
    /// exchange doesn't exist.
    func route(
        _ message: Message,
        from exchange: String,
        keys: [String],
        isQueue: (String) -> Bool
    ) -> Route? {
        guard exchanges[exchange] != nil else { return nil }
        var route = Route()
        var seen: Set = [exchange]
        var queues: Set<String> = []
        var waiting = [exchange]
        func visit(_ target: Binding.Target) {
            switch target {
            case .queue(let name): if queues.insert(name).inserted { route.queues.append(name) }
            case .exchange(let name): if seen.insert(name).inserted { waiting.append(name) }
            }
        }
        while let name = waiting.popLast() {
            guard let exchange = exchanges[name] else { continue }
            if exchange.kind == .headers { route.isByKey = false }
            var isRouted = false
            for key in keys {
                if name.isEmpty {
                    guard isQueue(key) else { continue }
                    visit(.queue(key))
                    isRouted = true
                    continue
                }
                for target in exchange.targets(key, message.properties.headers) {
                    visit(target)
                    isRouted = true
                }
            }
            if !isRouted, let alternate = exchange.declaration.alternateExchange { visit(.exchange(alternate)) }
        }
        return route
    }
}

/// The queues of each destination, valid until a binding, queue or exchange changes.
struct RouteCache: Sendable {
    /// The bound for programs that never stop inventing routing keys.
    private static let limit = 4_096

    private var routes: [Destination: [QueueID]] = [:]

    init() {}

    subscript(destination: Destination) -> [QueueID]? { routes[destination] }

    mutating func store(_ queues: [QueueID], for destination: Destination) {
        if routes.count >= Self.limit { routes = [:] }
        routes[destination] = queues
    }

    mutating func clear() {
        if !routes.isEmpty { routes = [:] }
    }
}
