import AMQP
import Testing

extension Broker {
    // MARK: Publishing

    /// Publishes a text that some queue must take.
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

    /// Whether some queue takes what is published there.
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

    // MARK: Looking

    /// How many messages of a queue are ready.
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

    /// Waits until a queue holds so many ready messages.
    func waitForReady(
        _ count: Int,
        in queue: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        var found: Int?
        do {
            try await eventually("the queue should come to \(count) ready messages", sourceLocation: sourceLocation) {
                found = try await ready(queue)
                return found == count
            }
        } catch is NotSeen {
            Issue.record("it has \(found.map(String.init) ?? "?")", sourceLocation: sourceLocation)
            throw NotSeen()
        }
    }

    /// Waits until a queue has gone that nobody uses; the case's time limit bounds it.
    ///
    /// Looks at it less often than it expires: that keeps a quorum queue, and a classic one on some versions.
    func waitForExpiry(of queue: String, after time: Duration) async throws {
        repeat { try await pass(time * 1.5) } while try await exists(queue)
    }

    /// Waits until a queue is gone.
    func waitForEnd(of queue: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await eventually("the queue should go", sourceLocation: sourceLocation) { try await !exists(queue) }
    }

    // MARK: Taking

    /// Takes a message that must come, and leaves it unsettled.
    func get(_ queue: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Delivery {
        var delivery: Delivery?
        try await eventually("a message should be in '\(queue)'", sourceLocation: sourceLocation) {
            delivery = try await transport.get(queue: queue)
            return delivery != nil
        }
        return try #require(delivery, sourceLocation: sourceLocation)
    }

    /// Takes a message that must come, and acknowledges it.
    func take(_ queue: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Message {
        let delivery = try await get(queue, sourceLocation: sourceLocation)
        delivery.ack()
        return delivery.message
    }

    /// The texts that are in a queue, which is empty afterwards.
    func drain(_ queue: String) async throws -> [String] {
        var texts: [String] = []
        while let delivery = try await transport.get(queue: queue) {
            texts.append(delivery.text)
            delivery.ack()
        }
        return texts
    }

    /// Expects these texts to be ready in a queue, in this order, and takes them.
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
    /// The records of how the message was dead-lettered, the latest first.
    var deaths: [FieldTable] { header("x-death")?.arrayValue?.compactMap(\.tableValue) ?? [] }
}
