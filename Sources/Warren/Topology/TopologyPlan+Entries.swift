import AMQP

extension TopologyPlan {
    /// A step as a person reads it: what kind of thing, its name, and what is special about it.
    public struct Entry: Sendable, Hashable, Codable {
        /// `exchange`, `queue` or `binding`.
        public var kind: String
        /// The name; of a binding, from where to where.
        public var name: String
        /// Type and arguments; of a binding, its routing key.
        public var details: String
    }

    /// The steps as a person reads them, in order.
    public var entries: [Entry] { steps.map(\.entry) }
}

extension TopologyPlan.Step {
    /// The step as a person reads it.
    public var entry: TopologyPlan.Entry {
        switch self {
        case .exchange(let exchange):
            let words = [exchange.kind.rawValue] + (exchange.isDurable ? ["durable"] : [])
            return .init(
                kind: "exchange",
                name: exchange.name,
                details: (words + exchange.arguments.words).joined(separator: " ")
            )
        case .queue(let queue):
            let kind = queue.arguments.kind?.rawValue ?? "default type"
            let words =
                [kind] + (queue.isDurable ? ["durable"] : [])
                + queue.arguments.arguments.words.filter { !$0.hasPrefix("x-queue-type=") }
            return .init(kind: "queue", name: queue.name, details: words.joined(separator: " "))
        case .binding(let binding):
            let target =
                switch binding.target {
                case .queue(let name): "queue \(name)"
                case .exchange(let name): "exchange \(name)"
                }
            let key = binding.routingKey.isEmpty ? "everything" : "key \(binding.routingKey)"
            return .init(kind: "binding", name: "\(binding.source) -> \(target)", details: key)
        }
    }
}

extension FieldTable {
    /// The entries as `name=value`, in the order of their names.
    fileprivate var words: [String] {
        sorted { $0.name < $1.name }.map { "\($0.name)=\($0.value.plainText)" }
    }
}

extension FieldValue {
    /// The value as RabbitMQ's messages write it: without type or quotes.
    var plainText: String {
        switch self {
        case .string(let text): text
        case .bool(let truth): String(truth)
        case .float(let number): String(number)
        case .double(let number): String(number)
        case .void: "none"
        default: integerValue.map(String.init) ?? String(describing: self)
        }
    }
}
