public import AMQP

/// What is to be declared at the broker, in order: exchanges, queues, bindings.
///
/// A plan is a value: printing it tells what ``apply(to:)`` would do. Applying it twice is the same as once.
public struct TopologyPlan: Sendable, Hashable {
    /// One declaration.
    public enum Step: Sendable, Hashable {
        /// An exchange is to exist.
        case exchange(ExchangeDeclaration)
        /// A queue is to exist.
        case queue(QueueDeclaration)
        /// A binding is to exist.
        case binding(Binding)
    }

    /// The declarations, each after what it refers to.
    public private(set) var steps: [Step] = []

    /// A plan of nothing.
    public init() {}

    /// Adds an exchange, unless it is planned already.
    public mutating func add(_ exchange: ExchangeDeclaration) { add(.exchange(exchange)) }
    /// Adds a queue, unless it is planned already.
    public mutating func add(_ queue: QueueDeclaration) { add(.queue(queue)) }
    /// Adds a binding, unless it is planned already.
    public mutating func add(_ binding: Binding) { add(.binding(binding)) }

    /// Adds what another plan has and this one hasn't.
    public mutating func add(_ other: TopologyPlan) {
        for step in other.steps { add(step) }
    }

    private mutating func add(_ step: Step) {
        if !steps.contains(step) { steps.append(step) }
    }
}

extension TopologyPlan {
    /// The names of the exchanges in the plan.
    public var exchanges: [String] {
        steps.compactMap { if case .exchange(let exchange) = $0 { exchange.name } else { nil } }
    }

    /// The names of the queues in the plan.
    public var queues: [String] {
        steps.compactMap { if case .queue(let queue) = $0 { queue.name } else { nil } }
    }
}
