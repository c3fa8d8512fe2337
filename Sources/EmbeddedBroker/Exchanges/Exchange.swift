import AMQP

/// An exchange with its bindings.
///
/// A value without I/O. Bindings without wildcards are looked up by the routing key; the others are matched one by one.
struct Exchange: Sendable {
    let declaration: ExchangeDeclaration
    /// True if the broker declared it itself, so that nobody may delete it.
    let isPredeclared: Bool
    private(set) var bindings: Set<Binding> = []
    /// The targets of bindings without wildcards, by routing key.
    private var exact: [String: [Binding.Target]] = [:]
    private var patterns: [(pattern: TopicPattern, binding: Binding)] = []
    private var headers: [(pattern: HeadersPattern, binding: Binding)] = []

    init(_ declaration: ExchangeDeclaration, isPredeclared: Bool = false) {
        self.declaration = declaration
        self.isPredeclared = isPredeclared
    }

    var kind: ExchangeKind { declaration.kind }
    var name: String { declaration.name }

    /// Adds a binding; returns false if it exists already.
    mutating func add(_ binding: Binding) -> Bool {
        guard bindings.insert(binding).inserted else { return false }
        switch kind {
        case .headers: headers.append((HeadersPattern(binding.arguments), binding))
        case .topic where !TopicPattern.isPlain(binding.routingKey):
            patterns.append((TopicPattern(binding.routingKey), binding))
        default: exact[kind == .fanout ? "" : binding.routingKey, default: []].append(binding.target)
        }
        return true
    }

    /// Removes a binding; returns false if it doesn't exist.
    mutating func remove(_ binding: Binding) -> Bool {
        guard bindings.remove(binding) != nil else { return false }
        switch kind {
        case .headers: headers.removeAll { $0.binding == binding }
        case .topic where !TopicPattern.isPlain(binding.routingKey): patterns.removeAll { $0.binding == binding }
        default:
            let key = kind == .fanout ? "" : binding.routingKey
            // Bindings that differ only in their arguments share a target; only one of them is removed.
            if let index = exact[key]?.firstIndex(of: binding.target) { exact[key]?.remove(at: index) }
            if exact[key]?.isEmpty == true { exact[key] = nil }
        }
        return true
    }

    /// The targets of a message; a target can occur more than once.
    func targets(_ key: String, _ table: FieldTable?) -> [Binding.Target] {
        switch kind {
        case .headers: return headers.filter { $0.pattern.matches(table) }.map(\.binding.target)
        case .fanout: return exact[""] ?? []
        case .topic where !patterns.isEmpty:
            let words = TopicPattern.words(of: key)
            let matching = patterns.filter { $0.pattern.matches(words) }.map(\.binding.target)
            return (exact[key] ?? []) + matching
        default: return exact[key] ?? []
        }
    }
}

extension Exchange {
    /// Throws the first difference between this exchange and a declaration of it, as RabbitMQ does.
    func checkEquivalence(with other: ExchangeDeclaration) throws(BrokerRefusal) {
        func check(_ argument: String, _ received: String, _ current: String) throws(BrokerRefusal) {
            if received == current { return }
            throw .inequivalent(argument, .exchange, name, received: "'\(received)'", current: "'\(current)'")
        }
        try check("type", other.kind.rawValue, kind.rawValue)
        try check("durable", "\(other.isDurable)", "\(declaration.isDurable)")
        try check("auto_delete", "\(other.isAutoDelete)", "\(declaration.isAutoDelete)")
        try check("internal", "\(other.isInternal)", "\(declaration.isInternal)")
        let key = "alternate-exchange"
        try ArgumentComparison(received: other.arguments[key], current: declaration.arguments[key])
            .check(key, .exchange, name)
    }
}
