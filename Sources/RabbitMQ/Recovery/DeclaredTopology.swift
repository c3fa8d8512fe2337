import AMQP

/// What this client has declared, to be declared again after its connection was lost.
///
/// What isn't durable may have gone with the connection or the broker, so it is declared again each time. What is durable is still
/// there as a rule, and a thousand clients that declare all of theirs at once would hold up a broker that has just come back: it
/// is declared again only when something turns out to be missing.
struct DeclaredTopology {
    /// A bound, so that a client which declares new names for ever doesn't grow for ever.
    static let limit = 10_000

    fileprivate enum Key: Hashable {
        case exchange(String)
        case queue(String)
        case binding(Binding)
    }

    private var methods: [Key: (order: Int, method: OutboundMethod)] = [:]
    private var nextOrder = 0

    init() {}

    /// Notes a method that the broker has accepted.
    mutating func note(_ method: OutboundMethod) {
        switch method {
        case .declareExchange(let exchange, passive: false): add(.exchange(exchange.name), method)
        case .declareQueue(let queue, passive: false) where !queue.name.isEmpty: add(.queue(queue.name), method)
        case .bind(let binding): add(.binding(binding), method)
        case .unbind(let binding): methods[.binding(binding)] = nil
        case .deleteExchange(let name): remove(.exchange(name)) { $0.touches(exchange: name) }
        case .deleteQueue(let name): remove(.queue(name)) { $0.target == .queue(name) }
        default: break
        }
    }

    /// What may be gone with a connection, in the order it was declared.
    var transient: [OutboundMethod] {
        guard methods.values.contains(where: { $0.method.isTransient }) else { return [] }
        return inOrder { entry in
            guard case .bind(let binding) = entry else { return entry.isTransient }
            let ends = [methods[.exchange(binding.source)], methods[binding.target.key]]
            return ends.contains { $0?.method.isTransient == true }
        }
    }

    /// All of it, in the order it was declared.
    var all: [OutboundMethod] { inOrder { _ in true } }

    private func inOrder(_ isWanted: (OutboundMethod) -> Bool) -> [OutboundMethod] {
        methods.values.filter { isWanted($0.method) }.sorted { $0.order < $1.order }.map(\.method)
    }

    private mutating func add(_ key: Key, _ method: OutboundMethod) {
        if let known = methods[key] {
            methods[key] = (known.order, method)
        } else if methods.count < Self.limit {
            nextOrder += 1
            methods[key] = (nextOrder, method)
        }
    }

    private mutating func remove(_ key: Key, with isGone: (Binding) -> Bool) {
        methods[key] = nil
        methods = methods.filter { key, _ in
            if case .binding(let binding) = key { !isGone(binding) } else { true }
        }
    }
}

extension OutboundMethod {
    /// True for the declaration of what may not outlive its connection or a restart of the broker.
    fileprivate var isTransient: Bool {
        switch self {
        case .declareExchange(let exchange, _): !exchange.isDurable || exchange.isAutoDelete
        case .declareQueue(let queue, _): !queue.isDurable || queue.isExclusive || queue.isAutoDelete
        default: false
        }
    }
}

extension Binding {
    fileprivate func touches(exchange: String) -> Bool { source == exchange || target == .exchange(exchange) }
}

extension Binding.Target {
    fileprivate var key: DeclaredTopology.Key {
        switch self {
        case .queue(let name): .queue(name)
        case .exchange(let name): .exchange(name)
        }
    }
}
