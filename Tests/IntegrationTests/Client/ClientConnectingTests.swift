import AMQP
import RabbitMQ
import TestSupport
import Testing

@Suite(.needsBroker, .timeLimit(.minutes(1)))
struct ClientConnectingTests {
    /// The error that a first use of a client of this URL ends in.
    private func connectError(_ url: String) async throws -> AMQPError {
        try await withClient(url: url) { client in
            try await amqpError { _ = try await client.broker() }
        }
    }

    private func brokerURL() throws -> BrokerURL { try BrokerURL(try #require(TestBroker.url)) }

    @Test func `The broker's product and version are known`() async throws {
        let broker = try await withClient { try await $0.broker() }
        #expect(broker.product == "RabbitMQ")
        #expect(broker.version >= BrokerVersion(3, 10))
    }

    @Test func `A port where nothing listens is named in the error`() async throws {
        let error = try await connectError("amqp://127.0.0.1:1")
        #expect(error.code == .connectionFailed)
        #expect(error.message.contains("127.0.0.1:1"))
        #expect(error.isRetriable)
        #expect(error.outcomeIsKnown)
    }

    @Test func `A host name that does not exist is named in the error`() async throws {
        let error = try await connectError("amqp://no-such-host.invalid")
        #expect(error.code == .connectionFailed)
        #expect(error.message.contains("'no-such-host.invalid'"))
    }

    @Test func `A wrong password is reported without the password`() async throws {
        let endpoint = try brokerURL().endpoint
        let error = try await connectError("amqp://guest:wr0ng-secret@\(endpoint)")
        #expect(error.code == .authenticationFailed)
        #expect(error.message.contains("user 'guest'"))
        #expect(!error.description.contains("wr0ng-secret"))
        #expect(!error.isRetriable)
    }

    @Test func `An unknown virtual host is named in the error`() async throws {
        let endpoint = try brokerURL().endpoint
        let error = try await connectError("amqp://guest:guest@\(endpoint)/nowhere")
        #expect(error.code == .virtualHostRefused)
        #expect(error.message.contains("'nowhere'"))
    }

    @Test func `A refused client may try again with a new connection`() async throws {
        try await withClient(url: "amqp://127.0.0.1:1") { client in
            for _ in 0..<3 {
                let error = try await amqpError { _ = try await client.broker() }
                #expect(error.code == .connectionFailed)
            }
        }
    }

    @Test func `A closed client says so, to whatever it is asked`() async throws {
        try await withQueue { _, queue in
            try await withClient { client in
                _ = try await client.broker()
                await client.close()
                let calls: [@Sendable () async throws -> Void] = [
                    { try await client.publish(Message("A"), to: .queue(queue)) },
                    { _ = try await client.status(ofQueue: queue) },
                    { _ = try await client.consume(queue: queue, prefetch: 1) },
                    { _ = try await client.broker() },
                ]
                for call in calls {
                    let error = try await amqpError { try await call() }
                    #expect(error.code == .closed)
                }
            }
        }
    }
}

@Suite(.needsTLSBroker, .timeLimit(.minutes(1)))
struct ClientConnectingOverTLSTests {
    private func tlsURL(_ authorityFile: String?) throws -> String {
        let url = try #require(TestBroker.tlsURL)
        return authorityFile.map { "\(url)?cacertfile=\($0)" } ?? url
    }

    @Test func `A broker with a certificate of a trusted CA is used over TLS`() async throws {
        let url = try tlsURL(TestBroker.authorityFile)
        let broker = try await withClient(url: url) { try await $0.broker() }
        #expect(broker.product == "RabbitMQ")
    }

    @Test func `A message of several TLS records arrives intact`() async throws {
        let body = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try await withQueue { plain, queue in
            let url = try tlsURL(TestBroker.authorityFile)
            try await withClient(url: url) { client in
                try await client.publish(Message(body: body), to: .queue(queue))
                let delivery = try #require(try await client.get(queue: queue))
                #expect(delivery.message.body == body)
                delivery.ack()
            }
        }
    }

    @Test func `A certificate of an unknown CA is refused`() async throws {
        let url = try tlsURL(nil)
        let error = try await withClient(url: url) { client in try await amqpError { _ = try await client.broker() } }
        #expect(error.code == .tlsFailed)
        #expect(error.message.contains("CA"))
    }

    @Test func `TLS to the plain port is reported as such`() async throws {
        let endpoint = try BrokerURL(try #require(TestBroker.url)).endpoint
        let file = try #require(TestBroker.authorityFile)
        let error = try await withClient(url: "amqps://\(endpoint)?cacertfile=\(file)") { client in
            try await amqpError { _ = try await client.broker() }
        }
        #expect(error.code == .tlsFailed)
        #expect(error.message.contains("amqp://"))
    }

    @Test func `Plain TCP to the TLS port is reported as such`() async throws {
        let endpoint = try BrokerURL(try #require(TestBroker.tlsURL)).endpoint
        let error = try await withClient(url: "amqp://\(endpoint)") { client in
            try await amqpError { _ = try await client.broker() }
        }
        #expect(error.code == .connectionFailed)
        #expect(error.message.contains("amqps://"))
    }

    @Test func `A CA file that can not be read is named in the error`() async throws {
        let error = try await withClient(url: try tlsURL("/no/such/ca.pem")) { client in
            try await amqpError { _ = try await client.broker() }
        }
        #expect(error.code == .tlsFailed)
        #expect(error.message.contains("/no/such/ca.pem"))
    }
}
