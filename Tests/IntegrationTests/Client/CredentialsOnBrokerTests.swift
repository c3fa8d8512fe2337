import AMQP
import Synchronization
import TestSupport
import Testing

@testable import RabbitMQ

/// Runs `body` with a client whose credentials come from a source, and closes it, also when `body` throws.
private func withClient(
    url: String,
    leavesTLSToLibrary: Bool = false,
    _ log: LogRecorder = LogRecorder(),
    source: @escaping CredentialsSource,
    _ body: (RabbitMQClient) async throws -> Void
) async throws {
    var configuration = RabbitMQClient.Configuration(url: try BrokerURL(url))
    configuration.credentials = source
    configuration.leavesTLSToLibrary = leavesTLSToLibrary
    let client = try RabbitMQClient(configuration, logger: log.logger)
    do {
        try await body(client)
        await client.close()
    } catch {
        await client.close()
        throw error
    }
}

/// RabbitMQ's internal users: the broker accepts any new secret for an open connection, and checks none.
@Suite(.needsTLSBroker, .timeLimit(.minutes(1))) struct CredentialsOnBrokerTests {
    private func url(usesTLS: Bool) throws -> String {
        guard usesTLS else { return try #require(TestBroker.url) }
        return "\(try #require(TestBroker.tlsURL))?cacertfile=\(try #require(TestBroker.authorityFile))"
    }

    @Test(arguments: [false, true])
    func `A new secret is answered on the open connection, while messages go both ways`(usesTLS: Bool) async throws {
        let asked = Mutex(0)
        let log = LogRecorder()
        let source: CredentialsSource = {
            let number = asked.withLock { asked in
                asked += 1
                return asked
            }
            // One log-in for each connection.
            return .plain(user: "guest", password: number <= 2 ? "guest" : "renewed", expiresAt: .now + .seconds(2))
        }
        try await withClient(url: try url(usesTLS: usesTLS), log, source: source) { client in
            let queue = TestBroker.uniqueName("queue")
            try await client.declare(QueueDeclaration(queue, isExclusive: true))
            var count: UInt8 = 0
            try await client.withConsumer(queue: queue, prefetch: 1) { stream in
                var reader = stream.makeAsyncIterator()
                while log.lines.count(where: { $0.hasPrefix("Credentials renewed") }) < 2 {
                    count &+= 1
                    try await client.publish(Message(body: [count]), to: .queue(queue))
                    let delivery = try await reader.next()
                    #expect(delivery?.message.body == [count])
                    #expect(delivery?.isRedelivered == false)
                    delivery?.ack()
                }
            }
            #expect(client.statistics == ClientStatistics())
            #expect(!log.lines.contains { $0.contains("=renewed") })
        }
    }

    @Test func `Where librabbitmq writes TLS, the connection is replaced before its secret expires`() async throws {
        let asked = Mutex(0)
        let source: CredentialsSource = {
            let number = asked.withLock { asked in
                asked += 1
                return asked
            }
            // The first and third are for log-ins.
            return .plain(
                user: "guest",
                password: number == 2 ? "renewed" : "guest",
                expiresAt: number == 1 ? .now + .seconds(2) : nil
            )
        }
        try await withClient(url: try url(usesTLS: true), leavesTLSToLibrary: true, source: source) { client in
            _ = try await client.broker()
            try await until { client.statistics.reconnects == 1 }
            #expect(asked.withLock(\.self) == 3)
        }
    }
}

@Suite(.needsBroker, .privateBrokers, .timeLimit(.minutes(5)), .serialized)
struct ChangingCredentialsTests {
    @Test func `After a user's password was changed, the client logs in with the new one`() async throws {
        try await PrivateBroker.run { broker in
            try await broker.ctl("add_user", "ada", "first")
            try await broker.ctl("set_permissions", "ada", ".*", ".*", ".*")
            let password = Mutex("first")
            let source: CredentialsSource = { .plain(user: "ada", password: password.withLock(\.self)) }
            try await withClient(url: broker.url, source: source) { client in
                try await client.declare(QueueDeclaration("letters"))
                let stream = try await client.consume(queue: "letters", prefetch: 1)
                var reader = stream.makeAsyncIterator()
                try await broker.ctl("change_password", "ada", "second")
                password.withLock { $0 = "second" }
                try await broker.ctl("close_all_connections", "rotation")
                try await client.publish(Message("A"), to: .queue("letters"))
                let delivery = try await reader.next()
                #expect(delivery?.message.text == "A")
                delivery?.ack()
            }
        }
    }

    /// Has the broker itself make a token of its OAuth 2 plugin.
    private func token(of user: String, expiresIn life: Int, _ broker: PrivateBroker) async throws -> String {
        let answer = try await broker.ctl(
            "eval",
            """
            Scopes = [<<"rabbitmq.configure:*/*">>, <<"rabbitmq.read:*/*">>, <<"rabbitmq.write:*/*">>],
            Claims = #{<<"exp">> => os:system_time(seconds) + \(life), <<"aud">> => [<<"rabbitmq">>],
                <<"scope">> => Scopes, <<"sub">> => <<"\(user)">>},
            Header = #{<<"alg">> => <<"HS256">>, <<"kid">> => <<"key">>},
            {_, Token} = jose_jws:compact(jose_jwt:sign(jose_jwk:from_map(\(Self.key)), Header, Claims)),
            Token.
            """
        )
        return String(try #require(answer.split(separator: "\"").dropFirst().first))
    }

    private static let key =
        "#{<<\"kty\">> => <<\"oct\">>, <<\"k\">> => base64:encode(<<\"0123456789abcdef0123456789abcdef\">>)}"

    private func useTokens(_ broker: PrivateBroker) async throws {
        try await broker.ctl(
            "eval",
            """
            {ok, File} = application:get_env(rabbit, enabled_plugins_file),
            ok = file:write_file(File, "[rabbitmq_management, rabbitmq_auth_backend_oauth2].\n"),
            application:load(rabbitmq_auth_backend_oauth2),
            Set = fun(Key, Value) -> application:set_env(rabbitmq_auth_backend_oauth2, Key, Value) end,
            Set(resource_server_id, <<"rabbitmq">>),
            Set(key_config, [{default_key, <<"key">>}, {signing_keys, #{<<"key">> => {map, \(Self.key)}}}]),
            {ok, _, _} = rabbit_plugins:ensure(File),
            application:set_env(rabbit, auth_backends, [rabbit_auth_backend_oauth2, rabbit_auth_backend_internal]).
            """
        )
    }

    @Test func `A token is renewed before it expires, and one that the broker refuses is followed by a log-in`()
        async throws
    {
        try await PrivateBroker.run { broker in
            try await useTokens(broker)
            let short = try await token(of: "ada", expiresIn: 20, broker)
            let long = try await token(of: "ada", expiresIn: 3600, broker)
            let isRefused = Mutex(false)
            let asked = Mutex(0)
            let log = LogRecorder()
            let source: CredentialsSource = {
                let number = asked.withLock { asked in
                    asked += 1
                    return asked
                }
                // The first two are for the log-ins of the two connections.
                if number <= 2 { return .plain(user: "", password: short, expiresAt: .now + .seconds(2)) }
                if isRefused.withLock({ $0.take() }) { return .plain(user: "", password: "no token") }
                return .plain(user: "", password: long, expiresAt: .now + .seconds(30))
            }
            try await withClient(url: broker.url, log, source: source) { client in
                try await client.declare(QueueDeclaration("letters"))
                try await client.publish(Message("A"), to: .queue("letters"))
                // Until the first token has expired, as a client that keeps to it shows.
                try await until { await refuses(short, broker) }
                try await client.publish(Message("B"), to: .queue("letters"))
                #expect(try await client.status(ofQueue: "letters").messageCount == 2)
                #expect(client.statistics.reconnects == 0)
                #expect(log.lines.count { $0.hasPrefix("Credentials renewed") } >= 2)

                isRefused.withLock { $0 = true }
                try await until { client.statistics.reconnects == 1 }
                #expect(log.warnings.contains { $0.contains("refused the new secret") })
                try await client.publish(Message("C"), to: .queue("letters"))
                #expect(!log.lines.contains { $0.contains(long) || $0.contains(short) || $0.contains("no token") })
            }
        }
    }

    private func refuses(_ token: String, _ broker: PrivateBroker) async -> Bool {
        do {
            let source: CredentialsSource = { .plain(user: "", password: token) }
            try await withClient(url: broker.url, source: source) { _ = try await $0.broker() }
            return false
        } catch {
            return (error as? AMQPError)?.code == .authenticationFailed
        }
    }
}

extension Bool {
    /// Whether it was set; it is not afterwards.
    fileprivate mutating func take() -> Bool {
        defer { self = false }
        return self
    }
}
