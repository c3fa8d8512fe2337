public import AMQP

/// An ordered list of declarations: exchanges, queues, bindings.
///
/// A plan is a value: its ``entries`` show what ``apply(to:)`` would do. Applying it twice is the same as once.
public struct TopologyPlan: Sendable, Hashable {
    /// One declaration.
    public enum Step: Sendable, Hashable {
        /// Declares an exchange.
        case exchange(ExchangeDeclaration)
        /// Declares a queue.
        case queue(QueueDeclaration)
        /// Declares a binding.
        case binding(Binding)
    }

    /// A step as people read it: its kind, name and details.
    public struct Entry: Sendable, Hashable, Codable {
        /// `exchange`, `queue` or `binding`.
        public var kind: String
        /// The name; of a binding, its source and target.
        public var name: String
        /// Type and arguments; of a binding, its routing key.
        public var details: String
    }

    /// The declarations, each after those that it refers to.
    public private(set) var steps: [Step] = []
    private var known: Set<Step> = []

    /// Creates an empty plan.
    public init() {}

    /// Adds an exchange, unless the plan has it already.
    public mutating func add(_ exchange: ExchangeDeclaration) { add(.exchange(exchange)) }
    /// Adds a queue, unless the plan has it already.
    public mutating func add(_ queue: QueueDeclaration) { add(.queue(queue)) }
    /// Adds a binding, unless the plan has it already.
    public mutating func add(_ binding: Binding) { add(.binding(binding)) }

    /// Adds the declarations of another plan that this one doesn't have.
    public mutating func add(_ other: TopologyPlan) {
        for step in other.steps { add(step) }
    }

    private mutating func add(_ step: Step) {
        if known.insert(step).inserted { steps.append(step) }
    }

    /// The plan without the declarations of another one.
    func without(_ other: TopologyPlan) -> TopologyPlan {
        var plan = TopologyPlan()
        for step in steps where !other.known.contains(step) { plan.add(step) }
        return plan
    }

    /// The names of the exchanges in the plan.
    public var exchanges: [String] {
        steps.compactMap { if case .exchange(let exchange) = $0 { exchange.name } else { nil } }
    }

    /// The names of the queues in the plan.
    public var queues: [String] {
        steps.compactMap { if case .queue(let queue) = $0 { queue.name } else { nil } }
    }

    /// The steps as people read them, in order.
    public var entries: [Entry] { steps.map(\.entry) }

    /// Declares everything in the plan, and reports where an existing exchange or queue differs.
    ///
    /// A difference is not an error: the existing exchange or queue stays as it is, and the rest is declared.
    ///
    /// - Throws: The broker's other errors, such as `accessRefused` or a lost connection.
    public func apply(to transport: any Transport) async throws(AMQPError) -> TopologyReport {
        var report = TopologyReport()
        for step in steps {
            let differences = try await step.apply(to: transport)
            if differences.isEmpty { report.matching += 1 }
            report.differences += differences
        }
        return report
    }

    /// Compares the exchanges and queues of the plan with those on the broker, and changes nothing.
    ///
    /// Each is first looked up by name, and declared only if it exists: then the broker either agrees or refuses with
    /// the difference. If someone else deletes it between these two steps, the declaration creates it again, as
    /// planned; that is the only way in which this can change a broker. Bindings are left out, because AMQP can't look
    /// them up.
    ///
    /// - Throws: The broker's errors, such as a lost connection. A missing permission to declare is not an error: see
    ///   ``TopologyInspection/notCompared``.
    public func inspect(on transport: any Transport) async throws(AMQPError) -> TopologyInspection {
        var inspection = TopologyInspection()
        for step in steps {
            if case .binding = step { continue }
            inspection.planned += 1
            guard try await step.exists(on: transport) else {
                inspection.missing.append(step.entry)
                continue
            }
            do {
                inspection.differences += try await step.apply(to: transport)
            } catch {
                // Another connection's exclusive queue can't be compared either.
                guard error.code == .accessRefused || error.code == .resourceLocked else { throw error }
                inspection.notCompared.append(step.entry)
            }
        }
        return inspection
    }
}

// MARK: - Steps

extension TopologyPlan.Step {
    /// The step as people read it.
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

    /// More differences than a declaration has arguments, so that the search for them ends in any case.
    private static let mostDifferences = 40

    /// Declares the step.
    ///
    /// The broker reports one difference at a time. So a refused declaration is repeated with the value that the broker
    /// has, until the two agree and all differences are known.
    fileprivate func apply(to transport: any Transport) async throws(AMQPError) -> [TopologyDifference] {
        var step = self
        var differences: [TopologyDifference] = []
        while differences.count < Self.mostDifferences {
            do {
                try await step.declare(on: transport)
                return differences
            } catch {
                guard error.code == .declarationMismatch else { throw error }
                guard let mismatch = error.reply.flatMap(DeclarationMismatch.init(reply:)) else {
                    return differences + [unknownDifference]
                }
                differences.append(difference(mismatch))
                guard let adopted = step.adopting(mismatch) else { return differences }
                step = adopted
            }
        }
        return differences
    }

    private func declare(on transport: any Transport) async throws(AMQPError) {
        switch self {
        case .exchange(let exchange): try await transport.declare(exchange)
        case .queue(let queue): try await transport.declare(queue)
        case .binding(let binding): try await transport.bind(binding)
        }
    }

    private func adopting(_ mismatch: DeclarationMismatch) -> Self? {
        switch self {
        case .exchange(let exchange): exchange.adopting(mismatch).map(Self.exchange)
        case .queue(let queue): queue.adopting(mismatch).map(Self.queue)
        case .binding: nil
        }
    }

    private func difference(_ mismatch: DeclarationMismatch) -> TopologyDifference {
        TopologyDifference(
            kind: entry.kind,
            name: entry.name,
            argument: mismatch.argument,
            planned: mismatch.received?.text,
            existing: mismatch.current?.text,
            remedy: mismatch.advice
        )
    }

    private var unknownDifference: TopologyDifference {
        TopologyDifference(
            kind: entry.kind,
            name: entry.name,
            argument: nil,
            planned: nil,
            existing: nil,
            remedy: "Compare 'warren topology plan' with 'rabbitmqctl list_\(entry.kind)s name arguments'."
        )
    }

    fileprivate func exists(on transport: any Transport) async throws(AMQPError) -> Bool {
        switch self {
        case .exchange(let exchange): return try await transport.exchangeExists(exchange.name)
        case .queue(let queue):
            do {
                _ = try await transport.status(ofQueue: queue.name)
                return true
            } catch {
                if error.code == .resourceLocked { return true }
                guard error.code == .notFound else { throw error }
                return false
            }
        case .binding: return true
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
    fileprivate var plainText: String {
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

// MARK: - Reports

/// The result of applying a plan: the number of matching declarations, and every difference.
public struct TopologyReport: Sendable, Hashable, Codable {
    /// The number of declarations that existed as planned, or were made.
    public var matching = 0
    /// Every way in which an existing exchange or queue differs from the plan.
    ///
    /// The existing one was not changed.
    public var differences: [TopologyDifference] = []

    /// True if an existing exchange or queue differs from the plan.
    public var hasDrift: Bool { !differences.isEmpty }
}

/// The result of comparing a plan with a broker, as far as AMQP can do that without declaring anything.
public struct TopologyInspection: Sendable, Hashable, Codable {
    /// The exchanges and queues that don't exist.
    public var missing: [TopologyPlan.Entry] = []
    /// Every way in which an existing exchange or queue differs from the plan.
    public var differences: [TopologyDifference] = []
    /// The existing exchanges and queues that this user may not declare, so that their arguments are unknown.
    public var notCompared: [TopologyPlan.Entry] = []
    /// The number of exchanges and queues in the plan.
    public var planned = 0

    /// Creates an inspection that found everything as planned.
    public init() {}
}

/// A difference between the plan and an existing exchange or queue, with its remedy.
public struct TopologyDifference: Sendable, Hashable, Codable, CustomStringConvertible {
    /// `exchange` or `queue`.
    public var kind: String
    /// The name of the exchange or queue.
    public var name: String
    /// The property that differs, such as `durable` or `x-delivery-limit`; `nil` if the broker's answer couldn't be
    /// parsed.
    public var argument: String?
    /// The planned value; `nil` if the plan has none.
    public var planned: String?
    /// The broker's value; `nil` if it has none, or if its answer couldn't be parsed.
    public var existing: String?
    /// The remedy: the policy or migration that settles the difference.
    public var remedy: String

    /// One sentence about the difference, and one about the remedy.
    public var description: String {
        guard let argument else { return "The \(kind) '\(name)' exists and is different. \(remedy)" }
        let planned = planned.map { "'\($0)' is planned" } ?? "none is planned"
        let existing = existing.map { "\(argument) '\($0)'" } ?? "no \(argument)"
        return "The \(kind) '\(name)' has \(existing), \(planned). \(remedy)"
    }
}
