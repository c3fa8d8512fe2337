import AMQP
import Testing

@testable import RabbitMQ

struct ClientConfigurationTests {
    private func error(_ change: (inout RabbitMQClient.Configuration) -> Void) throws -> AMQPError? {
        var configuration = RabbitMQClient.Configuration(url: try BrokerURL("amqp://127.0.0.1:1"))
        change(&configuration)
        return #expect(throws: AMQPError.self) { try RabbitMQClient(configuration) }
    }

    @Test func `A client without a URL, or with one that can't be parsed, isn't made`() throws {
        #expect(try error { $0.urls = [] }?.code == .invalidURL)
        let error = #expect(throws: AMQPError.self) { try RabbitMQClient(url: "http://localhost") }
        #expect(error?.code == .invalidURL)
    }

    @Test(arguments: [Duration.milliseconds(500), .seconds(65_536), .seconds(Int64.max), .seconds(-1)])
    func `A heartbeat that AMQP can't express is refused`(heartbeat: Duration) throws {
        let refusal = try error { $0.urls[0].heartbeat = heartbeat }
        #expect(refusal?.code == .invalidURL)
        #expect(refusal?.message.contains("heartbeat") == true)
    }

    @Test func `An invalid or excessive time limit for connecting is refused`() throws {
        for limit in [Duration.zero, .seconds(Int64.max)] {
            #expect(try error { $0.urls[0].connectTimeout = limit }?.code == .invalidURL)
        }
    }

    @Test func `A zero byte can't cut a password or a virtual host short`() throws {
        #expect(try error { $0.urls[0].virtualHost = "a\0b" }?.code == .invalidURL)
        #expect(try error { $0.urls[0].credentials = .plain(user: "ada", password: "a\0b") }?.code == .invalidURL)
    }

    @Test func `The end of an old connection doesn't hide the state of its successor`() {
        let states = ConnectionStates()
        let (old, new) = (states.begin(.publishing), states.begin(.publishing))
        states.set(.open, of: .publishing, number: new)
        states.set(.closed, of: .publishing, number: old)
        #expect(states.health.publishing == .open)
        states.set(.closed, of: .publishing, number: new)
        #expect(states.health.publishing == .closed)
    }

    @Test func `Cancelled calls say that they were cancelled`() async throws {
        let client = try RabbitMQClient(url: "amqp://127.0.0.1:1")
        let calls: [@Sendable () async throws -> Void] = [
            { _ = try await client.broker() }, { try await client.publish(Message(body: [1]), to: .queue("q")) },
        ]
        for call in calls {
            let task = Task {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                try await call()
            }
            let error = await #expect(throws: AMQPError.self) { try await task.value }
            #expect(error?.code == .cancelled)
        }
        #expect(client.health.publishing == .idle)
    }
}
