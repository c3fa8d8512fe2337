import AMQP
import Synchronization
import TestSupport
import Testing

@testable import RabbitMQ

/// A client whose credentials come from a closure.
@Suite(.timeLimit(.minutes(1))) struct CredentialsTests {
    private typealias Frame = ScriptedBroker.Frame

    private enum Method {
        static let startOk: UInt32 = 0x000A_000B
        static let updateSecret: UInt32 = 0x000A_0046
        static let publish: UInt32 = 0x003C_0028
        static let consume: UInt32 = 0x003C_0014
    }

    /// The secrets that a scripted broker received.
    private final class Secrets: Sendable {
        private let received = Mutex<(logIns: [String], updates: [String])>(([], []))

        var logIns: [String] { received.withLock(\.logIns) }
        var updates: [String] { received.withLock(\.updates) }

        func note(_ frame: Frame) {
            switch frame.method {
            case Method.startOk:
                // The response of SASL's PLAIN: a zero byte, the user, a zero byte, the password.
                let marks = frame.payload.indices.filter { frame.payload[$0] == 0 }
                let response = frame.payload.firstIndex(of: "ada") ?? 0
                let password = marks.first { $0 > response }.map { $0 + 1 } ?? 0
                let text = frame.payload[password...].prefix { $0 != 5 }
                received.withLock { $0.logIns.append(String(decoding: text, as: UTF8.self)) }
            case Method.updateSecret:
                let length = frame.payload[4..<8].reduce(0) { $0 << 8 | Int($1) }
                let text = frame.payload[8..<8 + length]
                received.withLock { $0.updates.append(String(decoding: text, as: UTF8.self)) }
            default: break
            }
        }
    }

    /// A client that logs to `log` and whose credentials come from `source`.
    private func client(
        of broker: ScriptedBroker,
        _ log: LogRecorder = LogRecorder(),
        connectTimeout: Duration = .seconds(10),
        source: @escaping CredentialsSource
    ) throws -> RabbitMQClient {
        var url = try BrokerURL(broker.url)
        url.connectTimeout = connectTimeout
        var configuration = RabbitMQClient.Configuration(url: url)
        configuration.credentials = source
        return try RabbitMQClient(configuration, logger: log.logger)
    }

    private func error(_ body: () async throws -> Void) async -> AMQPError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? AMQPError
        }
    }

    @Test func `Each log-in uses new credentials`() async throws {
        let secrets = Secrets()
        let broker = ScriptedBroker { connection, frame in
            secrets.note(frame)
            guard connection == 1, frame.method == Method.consume else { return [] }
            return [.close(320, "CONNECTION_FORCED", method: 0, channel: 0)]
        }
        let asked = Counter()
        let client = try client(of: broker) { .plain(user: "ada", password: "secret-\(asked.next())") }
        let stream = try await client.consume(queue: "letters", prefetch: 1)
        #expect(stream.isRegistered)
        #expect(secrets.logIns == ["secret-1", "secret-2"])
    }

    @Test func `A secret that expires is renewed on the open connection, and consumers and publishes notice nothing`()
        async throws
    {
        let secrets = Secrets()
        let confirms = Counter()
        let broker = ScriptedBroker { _, frame in
            secrets.note(frame)
            switch frame.method {
            case Method.updateSecret: return [.method(0x000A_0047, channel: 0)]
            case Method.publish: return [.ack(UInt64(confirms.next()), channel: frame.channel)]
            default: return []
            }
        }
        let asked = Counter()
        let log = LogRecorder()
        let client = try client(of: broker, log) {
            .plain(user: "ada", password: "secret-\(asked.next())", expiresAt: .now + .milliseconds(1250))
        }
        let stream = try await client.consume(queue: "letters", prefetch: 1)
        try await client.publish(Message("A"), to: .queue("letters"))
        // Of both connections, twice.
        while secrets.updates.count < 4 {
            try await client.publish(Message("B"), to: .queue("letters"))
            await Task.yield()
        }
        #expect(Set(secrets.updates).isDisjoint(with: secrets.logIns))
        #expect(stream.isRegistered)
        #expect(broker.connectionCount == 2)
        #expect(client.statistics == ClientStatistics())
        #expect(!log.lines.contains { $0.contains("secret-") })
    }

    @Test func `A secret that the broker refuses is followed by a log-in with a new one`() async throws {
        let secrets = Secrets()
        let broker = ScriptedBroker { _, frame in
            secrets.note(frame)
            guard frame.method == Method.updateSecret, secrets.updates.count == 1 else { return [] }
            let text = "NOT_ALLOWED - New secret was refused by one of the backends"
            return [.close(530, text, method: Method.updateSecret, channel: 0)]
        }
        let asked = Counter()
        let log = LogRecorder()
        let client = try client(of: broker, log) {
            let number = asked.next()
            return .plain(
                user: "ada",
                password: "secret-\(number)",
                expiresAt: number == 1 ? .now + .milliseconds(1250) : nil
            )
        }
        let stream = try await client.consume(queue: "letters", prefetch: 1)
        try await until { broker.connectionCount == 2 && stream.isRegistered }
        #expect(secrets.updates == ["secret-2"])
        #expect(secrets.logIns == ["secret-1", "secret-3"])
        #expect(log.warnings.contains { $0.contains("refused the new secret") && $0.contains("NOT_ALLOWED") })
        #expect(!log.lines.contains { $0.contains("secret-") })
    }

    /// An error of an identity provider that shows a secret.
    private struct ProviderFailure: Error, CustomStringConvertible {
        let description = "401 for client_secret=hunter2"
    }

    @Test func `A source that fails is reported without its error's text, and asked again by the next call`()
        async throws
    {
        let broker = ScriptedBroker()
        let log = LogRecorder()
        let asked = Counter()
        let client = try client(of: broker, log) {
            if asked.next() == 1 { throw ProviderFailure() }
            return .plain(user: "ada", password: "secret")
        }
        let failure = try #require(await error { _ = try await client.broker() })
        #expect(failure.code == .credentialsUnavailable)
        #expect(failure.isRetriable)
        #expect(failure.outcomeIsKnown)
        #expect(failure.message.contains("ProviderFailure"))
        #expect(!failure.description.contains("hunter2"))
        #expect(failure.underlying is ProviderFailure)
        #expect(!log.lines.contains { $0.contains("hunter2") })
        #expect(broker.connectionCount == 0)
        _ = try await client.broker()
    }

    @Test func `A source that never answers fails the log-in after the time limit for connecting`() async throws {
        let broker = ScriptedBroker()
        let never = Gate()
        let client = try client(of: broker, connectTimeout: .milliseconds(200)) {
            await never.wait()
            return .plain(user: "ada", password: "secret")
        }
        let failure = await error { _ = try await client.broker() }
        #expect(failure?.code == .credentialsUnavailable)
        #expect(failure?.message.contains("0.2 seconds") == true)
        never.open()
    }

    @Test func `Closing ends a question that is under way`() async throws {
        let broker = ScriptedBroker()
        let (isAsked, isCancelled) = (Gate(), Gate())
        let client = try client(of: broker) {
            await withTaskCancellationHandler {
                isAsked.open()
                await isCancelled.wait()
            } onCancel: {
                isCancelled.open()
            }
            return .plain(user: "ada", password: "secret")
        }
        async let refusal = error { _ = try await client.broker() }
        await isAsked.wait()
        await client.close()
        #expect(await refusal?.code == .closed)
        await isCancelled.wait()
    }

    @Test func `A refusal that comes while credentials can't be renewed says so`() async throws {
        let isFailing = Mutex(false)
        let asked = Counter()
        let secrets = Secrets()
        let broker = ScriptedBroker { _, frame in
            secrets.note(frame)
            switch frame.method {
            case Method.updateSecret: return [.method(0x000A_0047, channel: 0)]
            case Method.publish where isFailing.withLock(\.self):
                let text = "ACCESS_REFUSED - Provided JWT token has expired"
                return [.close(403, text, method: Method.publish, channel: frame.channel)]
            case Method.publish: return [.ack(1, channel: frame.channel)]
            default: return []
            }
        }
        let log = LogRecorder()
        let client = try client(of: broker, log) {
            if isFailing.withLock(\.self) { throw ProviderFailure() }
            return .plain(user: "ada", password: "secret-\(asked.next())", expiresAt: .now + .milliseconds(1250))
        }
        try await client.publish(Message("A"), to: .queue("letters"))
        isFailing.withLock { $0 = true }
        try await until { log.warnings.contains { $0.contains("not renewed") } }
        let refusal = await error { try await client.publish(Message("A"), to: .queue("letters")) }
        #expect(refusal?.code == .accessRefused)
        #expect(refusal?.message.contains("JWT token has expired") == true)
        #expect(refusal?.message.contains("the client's credentials were not renewed") == true)
        #expect(!log.lines.contains { $0.contains("hunter2") })
        isFailing.withLock { $0 = false }
        try await until { log.lines.contains { $0.hasPrefix("Credentials renewed") } }
        #expect(!secrets.updates.isEmpty)
    }
}

extension [UInt8] {
    /// The index behind the first occurrence of a text.
    fileprivate func firstIndex(of text: String) -> Int? {
        let wanted = Array(text.utf8)
        return indices.first { self[$0...].starts(with: wanted) }.map { $0 + wanted.count - 1 }
    }
}
