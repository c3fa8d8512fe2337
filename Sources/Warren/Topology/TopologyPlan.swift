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

extension TopologyPlan {
    /// Declares everything in the plan, and reports where the broker already has something else.
    ///
    /// A difference is not an error: what exists stays as it is, and the rest is declared.
    ///
    /// - Throws: What else can go wrong at the broker, such as `accessRefused` or a lost connection.
    public func apply(to transport: any Transport) async throws(AMQPError) -> TopologyReport {
        var report = TopologyReport()
        for step in steps {
            let differences = try await step.apply(to: transport)
            if differences.isEmpty { report.matching += 1 }
            report.differences += differences
        }
        return report
    }
}

extension TopologyPlan.Step {
    /// More differences than a declaration has arguments: where looking for them ends in any case.
    private static let mostDifferences = 40

    /// Declares the step.
    ///
    /// The broker names one difference at a time, so a refused declaration is made again with the value that the broker
    /// has, until the two agree: then all differences are known.
    func apply(to transport: any Transport) async throws(AMQPError) -> [TopologyDifference] {
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
            remedy: "Compare what 'warren topology plan' prints with 'rabbitmqctl list_\(entry.kind)s name arguments'."
        )
    }
}

/// What came of applying a plan: how much was declared, and where the broker has something else.
public struct TopologyReport: Sendable, Hashable, Codable {
    /// The number of declarations that exist as planned, or were made.
    public var matching = 0
    /// Every way in which an exchange or queue that exists differs from the plan.
    ///
    /// It stays as it was.
    public var differences: [TopologyDifference] = []

    /// True if something at the broker differs from the plan.
    public var hasDrift: Bool { !differences.isEmpty }
}

/// An exchange or queue that exists at the broker and isn't what the plan says, and what would settle it.
public struct TopologyDifference: Sendable, Hashable, Codable, CustomStringConvertible {
    /// `exchange` or `queue`.
    public var kind: String
    /// The name of the exchange or queue.
    public var name: String
    /// What differs, such as `durable` or `x-delivery-limit`; `nil` if the broker's answer couldn't be understood.
    public var argument: String?
    /// What the plan says; `nil` if it says nothing about this.
    public var planned: String?
    /// What the broker has; `nil` if it has nothing, or if the broker's answer couldn't be understood.
    public var existing: String?
    /// What to do about it: which policy or migration.
    public var remedy: String

    /// One sentence of what differs, and what to do.
    public var description: String {
        guard let argument else { return "The \(kind) '\(name)' exists and is different. \(remedy)" }
        let planned = planned.map { "'\($0)' is planned" } ?? "none is planned"
        return
            "The \(kind) '\(name)' has \(existing.map { "\(argument) '\($0)'" } ?? "no \(argument)"), \(planned). \(remedy)"
    }
}

extension TopologyPlan {
    /// Compares the exchanges and queues of the plan with what the broker has, and changes nothing.
    ///
    /// Each is looked for by name first, and declared only if it exists: then the broker either agrees or refuses with the difference. One
    /// that is deleted by someone else between these two is made anew, as planned or as it was; that is the only way in which this can
    /// change a broker. Bindings can't be asked for in AMQP, and are left out.
    ///
    /// - Throws: What goes wrong at the broker, such as a lost connection. A missing permission to declare is no error: see
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
                // Of a queue that another connection has to itself nothing more can be learnt either.
                guard error.code == .accessRefused || error.code == .resourceLocked else { throw error }
                inspection.notCompared.append(step.entry)
            }
        }
        return inspection
    }
}

extension TopologyPlan.Step {
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

/// What a broker has of a plan, as far as AMQP can tell without declaring what isn't there.
public struct TopologyInspection: Sendable, Hashable, Codable {
    /// The exchanges and queues that don't exist.
    public var missing: [TopologyPlan.Entry] = []
    /// Every way in which one that exists differs from the plan.
    public var differences: [TopologyDifference] = []
    /// Those that exist and that this user may not declare, so that nothing is known of their arguments.
    public var notCompared: [TopologyPlan.Entry] = []
    /// How many exchanges and queues there are in the plan.
    public var planned = 0

    /// An inspection that found everything as planned.
    public init() {}
}
