import AMQP
import RabbitMQ
import TestSupport
import Testing

extension Trait where Self == ConditionTrait {
    /// Runs only beside a real broker.
    static var needsBroker: Self {
        .enabled(if: TestBroker.url != nil, "start a broker and export its URL: ./compose/test does both")
    }

    /// Runs only beside a real broker with a TLS listener.
    static var needsTLSBroker: Self {
        .enabled(
            if: TestBroker.tlsURL != nil,
            "start a broker with --tls and export its URLs: ./compose/test does both"
        )
    }
}

/// Runs `body` with a client of the test's broker, and closes it, also when `body` throws.
func withClient<Value: Sendable>(
    url: String? = TestBroker.url,
    _ body: (RabbitMQClient) async throws -> Value
) async throws -> Value {
    let client = try RabbitMQClient(url: try #require(url), connectionName: "integration tests")
    do {
        let value = try await body(client)
        await client.close()
        return value
    } catch {
        await client.close()
        throw error
    }
}

/// Runs `body` with a client and a new queue, and deletes the queue afterwards, also when `body` throws.
func withQueue<Value: Sendable>(
    _ arguments: QueueArguments = QueueArguments(.classic),
    _ body: (RabbitMQClient, String) async throws -> Value
) async throws -> Value {
    try await withClient { client in
        let name = TestBroker.uniqueName("queue")
        try await client.declare(QueueDeclaration(name, arguments: arguments))
        do {
            let value = try await body(client, name)
            try await client.deleteQueue(name)
            return value
        } catch {
            _ = try? await client.deleteQueue(name)
            throw error
        }
    }
}

/// The error that `body` throws, which must be an `AMQPError`.
func amqpError(
    sourceLocation: SourceLocation = #_sourceLocation,
    from body: () async throws -> Void
) async throws -> AMQPError {
    do {
        try await body()
    } catch let error as AMQPError {
        return error
    }
    try #require(Bool(false), "an AMQPError was expected, and none was thrown", sourceLocation: sourceLocation)
    throw CancellationError()
}

/// The error in which a stream ends.
func endOfStream(_ reader: inout DeliveryStream.Iterator) async throws -> AMQPError {
    do throws(AMQPError) {
        while try await reader.next() != nil {}
    } catch {
        return error
    }
    throw CancellationError()
}
