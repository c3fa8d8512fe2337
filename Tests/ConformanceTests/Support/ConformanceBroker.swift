import AMQP
import TestSupport
import Testing

/// A broker on which the cases run: the argument of each case, with the steps that cases consist of.
///
/// The steps go to the run's own ``CaseRun``, which cleans up after the case.
struct ConformanceBroker: Sendable, Hashable, CustomTestStringConvertible {
    enum Product: String, Sendable {
        case rabbitMQ = "RabbitMQ"
        case embedded = "EmbeddedBroker"
    }

    let product: Product
    /// Whether a case may disturb it: an embedded broker always, RabbitMQ only if it is private.
    var isDisturbable = false

    /// The available brokers; RabbitMQ only if one was started.
    static let all =
        (TestBroker.url == nil ? [] : [ConformanceBroker(product: .rabbitMQ)]) + [ConformanceBroker(product: .embedded)]

    /// The brokers that a case may disturb.
    static let disturbable = all.map { ConformanceBroker(product: $0.product, isDisturbable: true) }

    /// The embedded broker alone, for cases that take too long elsewhere.
    static let embedded = [ConformanceBroker(product: .embedded)]

    var testDescription: String { product.rawValue }

    /// The version of both brokers: RabbitMQ's, or else 3.10.
    var version: BrokerVersion { Conformance.version }

    /// The features of that version.
    var features: BrokerFeatures { BrokerFeatures(version) }

    /// The case's first connection.
    var transport: any Transport { run.transport(self) }

    /// Opens another connection, which is closed after the case.
    func connect() -> any Transport { run.connect(self) }

    /// A name that no other case uses.
    func name(_ purpose: String) -> String { TestBroker.uniqueName("conformance-\(purpose)") }

    private var run: CaseRun {
        guard let run = CaseRun.current else {
            preconditionFailure("A case of the conformance suite belongs in an extension of Conformance.")
        }
        return run
    }

    // MARK: Time

    /// Lets time pass.
    func pass(_ time: Duration) async throws { try await run.control(self).pass(time) }

    /// Waits until `condition` is true, and fails the case if it isn't within a minute.
    func eventually(
        _ comment: Comment? = nil,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () async throws -> Bool
    ) async throws {
        let control = run.control(self)
        var attempt = 0
        repeat {
            if try await condition() { return }
            attempt += 1
        } while try await control.pause(attempt: attempt)
        Issue.record(comment ?? "the expected condition was not met in time", sourceLocation: sourceLocation)
        throw ConditionNotMet()
    }

    /// The value of `body`; `nil` if it takes too long.
    func withLimit<Value: Sendable>(
        attempts: Int = .max,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        let control = run.control(self)
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                var attempt = 0
                while try await control.pause(attempt: attempt), attempt < attempts { attempt += 1 }
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    // MARK: Disturbing

    /// Raises or clears an alarm, which blocks publishers.
    func setAlarm(_ isOn: Bool) async throws { try await run.control(self).setAlarm(isOn) }

    /// Closes all connections, as an operator does.
    func closeConnections() async throws { try await run.control(self).closeConnections() }

    // MARK: Declaring

    /// Declares a queue, which is deleted after the case.
    @discardableResult
    func declare(_ queue: QueueDeclaration, on other: (any Transport)? = nil) async throws -> String {
        let name = try await (other ?? transport).declare(queue).name
        run.willDelete(queue: name)
        return name
    }

    /// Declares a queue with a unique name and these arguments.
    func queue(_ arguments: QueueArguments = QueueArguments(.classic)) async throws -> String {
        try await declare(QueueDeclaration(name("queue"), arguments: arguments))
    }

    /// Declares a queue of a kind, with a unique name.
    func queue(
        _ kind: QueueKind,
        _ configure: (inout QueueArguments) -> Void = { _ in }
    ) async throws -> String {
        try await queue(QueueArguments(kind, configure))
    }

    /// Declares an exchange, which is deleted after the case.
    func declare(_ exchange: ExchangeDeclaration) async throws {
        try await transport.declare(exchange)
        run.willDelete(exchange: exchange.name)
    }

    /// Declares an exchange with a unique name.
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

    // MARK: Publishing

    /// Publishes a text, which by default must reach a queue.
    func publish(
        _ text: String,
        to destination: Destination,
        mandatory: Bool = true,
        _ configure: (inout BasicProperties) -> Void = { _ in }
    ) async throws {
        var properties = BasicProperties()
        configure(&properties)
        try await transport.publish(
            Message(properties: properties, body: Array(text.utf8)),
            to: destination,
            mandatory: mandatory,
            deadline: .now + .seconds(60)
        )
    }

    /// Publishes a text to a queue, through the default exchange.
    func publish(
        _ text: String,
        to queue: String,
        mandatory: Bool = true,
        _ configure: (inout BasicProperties) -> Void = { _ in }
    ) async throws {
        try await publish(text, to: .queue(queue), mandatory: mandatory, configure)
    }

    /// Publishes texts to a queue, one after the other.
    func publish(_ texts: [String], to queue: String) async throws {
        for text in texts { try await publish(text, to: queue) }
    }

    /// Whether a message published there reaches a queue.
    func routes(
        _ exchange: String,
        _ routingKey: String = "",
        _ configure: (inout BasicProperties) -> Void = { _ in }
    ) async throws -> Bool {
        do {
            try await publish(routingKey, to: Destination(exchange: exchange, routingKey: routingKey), configure)
            return true
        } catch let error as AMQPError where error.code == .unroutable {
            return false
        }
    }

    // MARK: Inspecting

    /// The number of ready messages of a queue.
    func ready(_ queue: String) async throws -> Int { try await transport.status(ofQueue: queue).messageCount }

    /// Whether a queue exists.
    func exists(_ queue: String, on other: (any Transport)? = nil) async throws -> Bool {
        let connection = other ?? transport
        do {
            _ = try await connection.status(ofQueue: queue)
            return true
        } catch {
            guard error.code == .notFound else { throw error }
            return false
        }
    }

    /// Waits until a queue holds `count` ready messages.
    func waitForReady(
        _ count: Int,
        in queue: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        var found: Int?
        do {
            try await eventually("the queue should have \(count) ready messages", sourceLocation: sourceLocation) {
                found = try await ready(queue)
                return found == count
            }
        } catch is ConditionNotMet {
            Issue.record("it has \(found.map(String.init) ?? "?")", sourceLocation: sourceLocation)
            throw ConditionNotMet()
        }
    }

    /// Waits until an unused queue has expired; the case's time limit bounds it.
    ///
    /// Looks at it less often than it expires: a look keeps a quorum queue, and on some versions a classic one.
    func waitForExpiry(of queue: String, after time: Duration) async throws {
        repeat { try await pass(time * 1.5) } while try await exists(queue)
    }

    /// Waits until a queue is gone.
    func waitForEnd(of queue: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await eventually("the queue should be deleted", sourceLocation: sourceLocation) { try await !exists(queue) }
    }

    // MARK: Getting and consuming

    /// Waits for a message and gets it, unsettled.
    func get(_ queue: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Delivery {
        var delivery: Delivery?
        try await eventually("a message should be in '\(queue)'", sourceLocation: sourceLocation) {
            delivery = try await transport.get(queue: queue)
            return delivery != nil
        }
        return try #require(delivery, sourceLocation: sourceLocation)
    }

    /// Waits for a message, gets it and acknowledges it.
    func take(_ queue: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Message {
        let delivery = try await get(queue, sourceLocation: sourceLocation)
        delivery.ack()
        return delivery.message
    }

    /// Gets and acknowledges all messages of a queue; returns their texts.
    func drain(_ queue: String) async throws -> [String] {
        var texts: [String] = []
        while let delivery = try await transport.get(queue: queue) {
            texts.append(delivery.text)
            delivery.ack()
        }
        return texts
    }

    /// Expects a queue to hold exactly these texts, in this order, and takes them.
    func expect(
        _ queue: String,
        holds texts: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let found = try await drain(queue)
        #expect(found == texts, sourceLocation: sourceLocation)
    }

    /// Consumes a queue.
    func consume(
        _ queue: String,
        prefetch: UInt16 = 10,
        arguments: FieldTable = FieldTable(),
        on other: (any Transport)? = nil
    ) async throws -> Consumer {
        let stream = try await (other ?? transport).consume(queue: queue, prefetch: prefetch, arguments: arguments)
        return Consumer(stream, of: self)
    }
}

extension Delivery {
    /// The body as text.
    var text: String { message.text }
    /// A header.
    func header(_ name: String) -> FieldValue? { message.header(name) }
}

extension Message {
    /// The body as text.
    var text: String { String(decoding: body, as: UTF8.self) }
    /// A header.
    func header(_ name: String) -> FieldValue? { properties.headers?[name] }
    /// The records of the message's dead-lettering, the latest first.
    var deaths: [FieldTable] { header("x-death")?.arrayValue?.compactMap(\.tableValue) ?? [] }
}

/// A case gave up waiting; the reason is recorded as an issue.
struct ConditionNotMet: Error {}

/// Expects the broker to refuse a request with this error code, AMQP's reply code, and these parts in the reply's text.
func expectRefusal(
    _ code: AMQPError.Code,
    _ replyCode: UInt16? = nil,
    saying parts: String...,
    sourceLocation: SourceLocation = #_sourceLocation,
    by body: () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("a refusal (\(code)) was expected, and none came", sourceLocation: sourceLocation)
    } catch let error as AMQPError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
        if let replyCode { #expect(error.reply?.code == replyCode, "\(error)", sourceLocation: sourceLocation) }
        let text = error.reply?.text ?? error.message
        for part in parts {
            #expect(text.contains(part), "the reply names \(part): \(text)", sourceLocation: sourceLocation)
        }
    } catch {
        Issue.record("an AMQPError was expected: \(error)", sourceLocation: sourceLocation)
    }
}
