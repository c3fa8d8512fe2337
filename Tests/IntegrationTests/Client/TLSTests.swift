import AMQP
import TestSupport
import Testing

@testable import RabbitMQ

/// Each refusal says which it is, and what to do.
@Suite(.timeLimit(.minutes(1))) struct TLSTests {
    /// A refusal: the listener's certificate, the CA file, the host, and the words that the error must have.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var certificate = "good"
        var authority = "ca"
        var host = "localhost"
        var options: [String] = []
        let words: [String]
    }

    static let refusals = [
        Refusal(
            testDescription: "expired",
            certificate: "expired",
            words: ["(/CN=localhost) expired on 2021-02-03 04:05 UTC", "renew it on the broker", "clock"]
        ),
        Refusal(
            testDescription: "not valid yet",
            certificate: "future",
            words: ["is not valid yet, only from 2046-01-01 00:00 UTC", "check the clocks"]
        ),
        Refusal(
            testDescription: "self-signed",
            certificate: "self",
            words: ["(/CN=localhost) is self-signed", "have it signed by a CA"]
        ),
        Refusal(
            testDescription: "signed by a CA that is not in the file any more",
            authority: "other",
            words: [
                "isn't signed by a CA of the CA file", "other.pem", "but by '/CN=Test CA'", "if the CA was changed",
            ]
        ),
        Refusal(
            testDescription: "signed by another CA of the same name",
            certificate: "replaced",
            words: ["but by another of the same name", "'/CN=Test CA'", "the CA was replaced", "ca.pem"]
        ),
        Refusal(
            testDescription: "for another host",
            certificate: "elsewhere",
            words: ["(/CN=broker.example) isn't for the host 'localhost'", "connect by a name that it holds"]
        ),
        Refusal(
            testDescription: "without the IP address",
            certificate: "named",
            host: "127.0.0.1",
            words: ["doesn't hold the IP address 127.0.0.1", "connect by a name that it holds"]
        ),
        Refusal(
            testDescription: "a client's certificate",
            certificate: "client",
            words: ["may not be used by a server", "serverAuth"]
        ),
        Refusal(
            testDescription: "TLS 1.1 only",
            options: ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
            words: ["speaks neither TLS 1.2 nor TLS 1.3", "ssl_options.versions"]
        ),
    ]

    @Test(arguments: refusals) func `A broker that can't be trusted is refused with its reason`(
        _ refusal: Refusal
    ) async throws {
        let error = try await TestCertificates.with { certificates in
            try await TLSListener.run(refusal.certificate, of: certificates, options: refusal.options) { port in
                let file = certificates.path(refusal.authority)
                let url = "amqps://\(refusal.host):\(port)?cacertfile=\(file)&connection_timeout=5000"
                return try await withClient(url: url) { client in
                    try await amqpError { _ = try await client.broker() }
                }
            }
        }
        #expect(error.code == .tlsFailed)
        for words in refusal.words { #expect(error.message.contains(words), "\(error)") }
        // Either error is right, but no other.
        for other in Self.refusals where other.testDescription != refusal.testDescription {
            #expect(!other.words.allSatisfy { error.message.contains($0) }, "\(error)")
        }
    }

    @Test func `A client key that needs a password is refused without asking for it`() async throws {
        let error = try await TestCertificates.with { certificates in
            let url =
                "amqps://localhost:1?cacertfile=\(certificates.path("ca"))&certfile=\(certificates.path("client"))"
                + "&keyfile=\(certificates.key("encrypted"))"
            return try await withClient(url: url) { client in
                try await amqpError { _ = try await client.broker() }
            }
        }
        #expect(error.code == .tlsFailed)
        #expect(error.message.contains("encrypted-key.pem"))
        #expect(error.message.contains("unencrypted"))
    }
}

/// The name that a client sends in the handshake, by which a proxy chooses among brokers.
@Suite(.timeLimit(.minutes(1))) struct ServerNameTests {
    @Test(arguments: [("localhost", true), ("broker.example", false)])
    func `The host's name is sent to whichever of its addresses answers`(host: String, isServed: Bool) async throws {
        let error = try await TestCertificates.with { certificates in
            let options = [
                "-servername", "localhost", "-servername_fatal", "-cert2", certificates.path("good"), "-key2",
                certificates.key("good"),
            ]
            return try await TLSListener.run("good", of: certificates, options: options) { port in
                let addresses = ["127.0.0.2", "127.0.0.1"].flatMap {
                    HostAddress.all(of: BrokerEndpoint(host: $0, port: port))
                }
                let configuration = ConnectionConfiguration(
                    endpoint: BrokerEndpoint(host: host, port: port),
                    virtualHost: "/",
                    credentials: .plain(user: "guest", password: "guest"),
                    tls: TLSConfiguration(authorityFile: certificates.path("ca"), verification: .authorityOnly),
                    heartbeat: .zero,
                    connectTimeout: .seconds(5),
                    resolve: { _ in addresses },
                    name: "test"
                )
                return try await amqpError { _ = try BrokerSocket.connect(configuration).descriptor }
            }
        }
        // The listener speaks no AMQP, so even a finished handshake ends with an error.
        #expect(error.code == (isServed ? .connectionFailed : .tlsFailed), "\(error)")
    }
}

/// A broker judges the client's certificate after the client's part of the handshake (TLS 1.3) or in it (TLS 1.2).
@Suite(.timeLimit(.minutes(1))) struct ClientCertificateTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        let certificate: String?
        let version: String
        let words: [String]
        var testDescription: String { "\(certificate ?? "none") with \(version)" }
    }

    static let refusals =
        [
            Refusal(
                certificate: nil,
                version: "-tls1_3",
                words: ["wants a client certificate, and there is none", "certfile and keyfile"]
            ),
            Refusal(certificate: nil, version: "-tls1_2", words: ["it wants a client certificate"]),
        ]
        + ["-tls1_3", "-tls1_2"].flatMap { version in
            [
                Refusal(
                    certificate: "client-expired",
                    version: version,
                    words: ["refuses the client certificate", "client-expired.pem", "it has expired"]
                ),
                Refusal(
                    certificate: "client-foreign",
                    version: version,
                    words: ["refuses the client certificate", "client-foreign.pem", "doesn't know the CA"]
                ),
            ]
        }

    @Test(arguments: refusals) func `A refused client certificate is reported with the reason`(
        _ refusal: Refusal
    ) async throws {
        let error = try await TestCertificates.with { certificates in
            let authority = certificates.path("ca")
            let options = [
                refusal.version, "-CAfile", authority, "-Verify", "2", "-verify_return_error",
            ]
            return try await TLSListener.run("good", of: certificates, options: options) { port in
                var url = "amqps://localhost:\(port)?cacertfile=\(authority)&connection_timeout=5000"
                if let name = refusal.certificate {
                    url += "&certfile=\(certificates.path(name))&keyfile=\(certificates.key(name))"
                }
                return try await withClient(url: url) { client in
                    try await amqpError { _ = try await client.broker() }
                }
            }
        }
        #expect(error.code == .tlsFailed, "\(error)")
        for words in refusal.words { #expect(error.message.contains(words), "\(error)") }
    }
}

/// The behaviour of a real broker.
@Suite(.needsTLSBroker, .timeLimit(.minutes(1))) struct TLSOnBrokerTests {
    private func url(_ host: String = "localhost", _ parameters: String = "") throws -> String {
        let port = try BrokerURL(try #require(TestBroker.tlsURL)).endpoint.port
        return "amqps://\(host):\(port)?cacertfile=\(try #require(TestBroker.authorityFile))\(parameters)"
    }

    @Test func `A broker is reached by an IP address that its certificate holds`() async throws {
        let broker = try await withClient(url: try url("127.0.0.1")) { try await $0.broker() }
        #expect(broker.product == "RabbitMQ")
    }

    /// Connects to the first of two addresses of a host that answers, which is the second; returns whether calls for
    /// the connection may block.
    @discardableResult
    private func connectToSecondAddress(
        of host: String,
        _ verification: TLSConfiguration.Verification
    ) throws(AMQPError) -> Bool {
        let parsed = try BrokerURL(TestBroker.tlsURL ?? "")
        let addresses = ["127.0.0.2", "127.0.0.1"].flatMap {
            HostAddress.all(of: BrokerEndpoint(host: $0, port: parsed.endpoint.port))
        }
        let configuration = ConnectionConfiguration(
            endpoint: BrokerEndpoint(host: host, port: parsed.endpoint.port),
            virtualHost: "/",
            credentials: parsed.credentials,
            tls: TLSConfiguration(authorityFile: TestBroker.authorityFile, verification: verification),
            heartbeat: .zero,
            connectTimeout: .seconds(10),
            resolve: { _ in addresses },
            name: "test"
        )
        return try BrokerSocket.connect(configuration).mayBlock
    }

    @Test func `A host's second address is tried, and its certificate is compared with the host's name`() throws {
        #expect(try !connectToSecondAddress(of: "localhost", .full))
        let error = #expect(throws: AMQPError.self) { try connectToSecondAddress(of: "broker.example", .full) }
        #expect(error?.code == .tlsFailed)
        #expect(error?.message.contains("isn't for the host 'broker.example'") == true)
        try connectToSecondAddress(of: "broker.example", .authorityOnly)
    }

    /// Runs `body` with a client that reads and writes TLS itself, or leaves that to librabbitmq.
    private func withTLSClient(
        leavesTLSToLibrary: Bool,
        _ body: (RabbitMQClient) async throws -> Void
    ) async throws {
        var configuration = RabbitMQClient.Configuration(url: try BrokerURL(try url()))
        configuration.leavesTLSToLibrary = leavesTLSToLibrary
        let client = try RabbitMQClient(configuration)
        do {
            try await body(client)
            await client.close()
        } catch {
            await client.close()
            throw error
        }
    }

    @Test(arguments: [false, true])
    func `Headers that do not fit into a frame fail alone over TLS`(leavesTLSToLibrary: Bool) async throws {
        try await withTLSClient(leavesTLSToLibrary: leavesTLSToLibrary) { client in
            let queue = TestBroker.uniqueName("queue")
            try await client.declare(QueueDeclaration(queue, isExclusive: true))
            var large = Message(body: [1])
            large.properties.headers = ["long": .string(String(repeating: "x", count: 140_000))]
            async let other: Void = client.publish(Message(body: [2]), to: .queue(queue))
            let error = try await amqpError { try await client.publish(large, to: .queue(queue)) }
            #expect(error.code == .messageTooLarge)
            #expect(error.message.contains("131072"))
            try await other
            #expect(client.statistics.reconnects == 0)
        }
    }

    @Test(arguments: [false, true])
    func `Many large messages go both ways over TLS and arrive as they were sent`(
        leavesTLSToLibrary: Bool
    ) async throws {
        try await withTLSClient(leavesTLSToLibrary: leavesTLSToLibrary) { client in
            let queue = TestBroker.uniqueName("queue")
            try await client.declare(QueueDeclaration(queue, isExclusive: true))
            func body(_ number: Int) -> [UInt8] {
                (0..<150_000 + number).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number) }
            }
            async let publishing: Void = {
                let messages = (0..<100).lazy.map { Message(body: body($0)) }
                for await result in client.publish(contentsOf: messages, to: .queue(queue), window: 50) {
                    try result.get()
                }
            }()
            var received = 0
            try await client.withConsumer(queue: queue, prefetch: 20) { stream in
                for try await delivery in stream {
                    #expect(delivery.message.body == body(received))
                    delivery.ack()
                    received += 1
                    if received == 100 { break }
                }
            }
            try await publishing
            #expect(client.statistics.reconnects == 0)
        }
    }

    @Test func `Without checks, no CA file is needed`() async throws {
        let endpoint = try BrokerURL(try #require(TestBroker.tlsURL)).endpoint
        let broker = try await withClient(url: "amqps://localhost:\(endpoint.port)?verify=verify_none") {
            try await $0.broker()
        }
        #expect(broker.product == "RabbitMQ")
    }

    @Test func `A client certificate of the broker's CA is accepted`() async throws {
        let folder = try #require(TestBroker.authorityFile).dropLast("ca.pem".count)
        let parameters = "&certfile=\(folder)client.pem&keyfile=\(folder)client-key.pem"
        let broker = try await withClient(url: try url("localhost", parameters)) { try await $0.broker() }
        #expect(broker.product == "RabbitMQ")
    }

    @Test func `A broker refuses a client certificate of another CA with its reason`() async throws {
        try await TestCertificates.with { certificates in
            let parameters =
                "&certfile=\(certificates.path("client-foreign"))&keyfile=\(certificates.key("client-foreign"))"
            try await withClient(url: try url("localhost", parameters)) { client in
                while true {
                    let error = try await amqpError { _ = try await client.broker() }
                    // By TLS 1.3 the refusal comes after the client's part of the handshake is done, and the broker's
                    // reset of the connection can overtake it. Then nobody can tell the reason, and the error says
                    // where it stands.
                    if error.code == .connectionFailed, error.message.contains("its log says why") { continue }
                    #expect(error.code == .tlsFailed)
                    #expect(error.message.contains("client-foreign.pem"))
                    #expect(error.message.contains("doesn't know the CA"), "\(error)")
                    break
                }
            }
        }
    }
}
