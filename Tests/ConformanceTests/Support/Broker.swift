import AMQP
import TestSupport
import Testing

/// A broker that the cases are run on: the argument of each case, and what it is written with.
///
/// What it does goes to the run's own ``CaseRun``, which cleans up after the case.
struct Broker: Sendable, Hashable, CustomTestStringConvertible {
    enum Product: String, Sendable {
        case rabbitMQ = "RabbitMQ"
        case embedded = "EmbeddedBroker"
    }

    let product: Product
    /// Whether it is one that may be disturbed: RabbitMQ on a node of its own, the embedded broker always.
    var isDisturbable = false

    /// The brokers that there are: RabbitMQ only where one was started.
    static let all = (TestBroker.url == nil ? [] : [Broker(product: .rabbitMQ)]) + [Broker(product: .embedded)]

    /// Those that may be disturbed.
    static let disturbable = all.map { Broker(product: $0.product, isDisturbable: true) }

    /// The embedded one alone, for what takes too long elsewhere.
    static let embedded = [Broker(product: .embedded)]

    var testDescription: String { product.rawValue }

    /// The version that both brokers have: RabbitMQ's, or else 3.10.
    var version: BrokerVersion { Conformance.version }

    /// What such a version does.
    var features: BrokerFeatures { BrokerFeatures(version) }

    /// The case's first connection.
    var transport: any Transport { run.transport(self) }

    /// A further connection, which is closed after the case.
    func connect() -> any Transport { run.connect(self) }

    /// A name that no other case uses.
    func name(_ purpose: String) -> String { TestBroker.uniqueName("conformance-\(purpose)") }

    private var run: CaseRun {
        guard let run = CaseRun.current else {
            preconditionFailure("A case of the conformance suite belongs into an extension of Conformance.")
        }
        return run
    }

    // MARK: Time

    /// Lets time pass.
    func pass(_ time: Duration) async throws { try await run.broker(self).pass(time) }

    /// Waits until `condition` is true, and fails the case if that doesn't come within a minute.
    func eventually(
        _ comment: Comment? = nil,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () async throws -> Bool
    ) async throws {
        let tested = run.broker(self)
        var attempt = 0
        repeat {
            if try await condition() { return }
            attempt += 1
        } while try await tested.pause(attempt: attempt)
        Issue.record(comment ?? "what the case waits for didn't come", sourceLocation: sourceLocation)
        throw NotSeen()
    }

    /// What `body` gives; `nil` if it gives nothing in time.
    func withLimit<Value: Sendable>(
        attempts: Int = .max,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        let tested = run.broker(self)
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                var attempt = 0
                while try await tested.pause(attempt: attempt), attempt < attempts { attempt += 1 }
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    // MARK: Disturbing

    /// Starts or ends an alarm, which stops publishers.
    func setAlarm(_ isOn: Bool) async throws { try await run.broker(self).setAlarm(isOn) }

    /// Closes all connections, as an operator does.
    func closeConnections() async throws { try await run.broker(self).closeConnections() }

    // MARK: Declaring

    /// Declares a queue that goes after the case.
    @discardableResult
    func declare(_ queue: QueueDeclaration, on other: (any Transport)? = nil) async throws -> String {
        let name = try await (other ?? transport).declare(queue).name
        run.willDelete(queue: name)
        return name
    }

    /// A queue of its own name with these arguments.
    func queue(_ arguments: QueueArguments = QueueArguments(.classic)) async throws -> String {
        try await declare(QueueDeclaration(name("queue"), arguments: arguments))
    }

    /// A queue of a kind.
    func queue(
        _ kind: QueueKind,
        _ configure: (inout QueueArguments) -> Void = { _ in }
    ) async throws -> String {
        try await queue(QueueArguments(kind, configure))
    }

    /// Declares an exchange that goes after the case.
    func declare(_ exchange: ExchangeDeclaration) async throws {
        try await transport.declare(exchange)
        run.willDelete(exchange: exchange.name)
    }

    /// An exchange of its own name.
    func exchange(
        _ kind: ExchangeKind = .fanout,
        _ configure: (inout ExchangeDeclaration) -> Void = { _ in }
    ) async throws -> String {
        var exchange = ExchangeDeclaration(name("exchange"), kind: kind)
        configure(&exchange)
        try await declare(exchange)
        return exchange.name
    }

    /// Binds a queue to an exchange.
    func bind(
        _ queue: String,
        to exchange: String,
        _ routingKey: String = "",
        _ arguments: FieldTable = FieldTable()
    ) async throws {
        try await transport.bind(
            Binding(from: exchange, to: .queue(queue), routingKey: routingKey, arguments: arguments)
        )
    }

    /// Binds an exchange to another.
    func bind(exchange target: String, to exchange: String, _ routingKey: String = "") async throws {
        try await transport.bind(Binding(from: exchange, to: .exchange(target), routingKey: routingKey))
    }
}
