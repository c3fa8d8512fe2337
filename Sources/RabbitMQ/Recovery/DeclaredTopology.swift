import AMQP
import Synchronization

/// The exchanges, queues and bindings that this client has declared, to be declared again after a lost connection.
///
/// Those that aren't durable may have disappeared with the connection or the broker, so they are declared again each
/// time. Durable ones normally still exist, and a thousand clients declaring all of theirs at once would delay a broker
/// that has just restarted; they are declared again only if one turns out to be missing.
struct DeclaredTopology {
    /// The largest number of declarations kept, so that a client that keeps declaring new names doesn't grow without
    /// limit.
    static let limit = 10_000

    fileprivate enum Key: Hashable {
        case exchange(String)
        case queue(String)
        case binding(Binding)
    }

    private var methods: [Key: (order: Int, method: OutboundMethod)] = [:]
    private var nextOrder = 0

    init() {}

    /// Records a method that the broker has accepted.
    mutating func note(_ method: OutboundMethod) {
        switch method {
        case .declareExchange(let exchange, passive: false): add(.exchange(exchange.name), method)
        case .declareQueue(let queue, passive: false) where !queue.name.isEmpty: add(.queue(queue.name), method)
        case .bind(let binding): add(.binding(binding), method)
        case .unbind(let binding): methods[.binding(binding)] = nil
        case .deleteExchange(let name, _): remove(.exchange(name)) { $0.touches(exchange: name) }
        case .deleteQueue(let name, _, _): remove(.queue(name)) { $0.target == .queue(name) }
        default: break
        }
    }

    /// The declarations that may be gone with a connection, in their original order.
    var transient: [OutboundMethod] {
        guard methods.values.contains(where: { $0.method.isTransient }) else { return [] }
        return inOrder { entry in
            guard case .bind(let binding) = entry else { return entry.isTransient }
            let ends = [methods[.exchange(binding.source)], methods[binding.target.key]]
            return ends.contains { $0?.method.isTransient == true }
        }
    }

    /// All declarations, in their original order.
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
    /// True for the declaration of an exchange or queue that may not outlive its connection or a restart of the broker.
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

/// The exchanges and queues that a client has lost with its consuming connection and not yet declared again.
///
/// Messages for them wait so long: on a publishing connection that recovers first they would find no exchange or no
/// queue. All other messages go on.
final class TransientTopology: Sendable {
    private struct Names {
        var exchanges: Set<String> = []
        var queues: Set<String> = []
    }

    private let names = Mutex<Names?>(nil)
    private let waiter = Mutex<(@Sendable () -> Void)?>(nil)

    init() {}

    /// Sets the function to call when what was missing is declared again.
    func onRestored(_ waiter: @escaping @Sendable () -> Void) { self.waiter.withLock { $0 = waiter } }

    /// Tells the destinations that messages can't reach now; `nil` if there are none.
    var missing: (@Sendable (Destination) -> Bool)? {
        guard names.withLock({ $0 != nil }) else { return nil }
        return { [self] destination in
            names.withLock { names in
                guard let names else { return false }
                return destination.exchange.isEmpty
                    ? names.queues.contains(destination.routingKey) : names.exchanges.contains(destination.exchange)
            }
        }
    }

    /// Records the loss of what doesn't outlive its connection or the broker, and of the ways to it.
    func lost(_ declared: DeclaredTopology) {
        var lost = Names()
        for method in declared.transient {
            switch method {
            case .declareExchange(let exchange, _): lost.exchanges.insert(exchange.name)
            case .declareQueue(let queue, _): lost.queues.insert(queue.name)
            case .bind(let binding): lost.exchanges.insert(binding.source)
            default: break
            }
        }
        guard !lost.exchanges.isEmpty || !lost.queues.isEmpty else { return }
        names.withLock { $0 = lost }
    }

    /// Records that all has been declared again, as far as the broker allows it.
    func restored() {
        let wasMissing = names.withLock { $0.take() != nil }
        if wasMissing { waiter.withLock(\.self)?() }
    }
}
