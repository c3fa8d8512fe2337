import Testing
import Warren

// Only `import Warren`, as a program has it.
@Suite(.timeLimit(.minutes(1))) struct ChangingCredentialsTests {
    private struct NoToken: Error {}

    @Test func `A client of jobs gets its credentials from a closure, whose failure fails the enqueue`() async throws {
        let broker = try await Broker.open("amqp://127.0.0.1:1", credentials: { throw NoToken() })
        let error = await #expect(throws: WarrenError.self) {
            try await JobClient(broker).enqueue(SendEmail(to: "ada", subject: "Hi"))
        }
        #expect((error?.underlying as? AMQPError)?.code == .credentialsUnavailable)
        await broker.close()
        let unreached = try await Broker.open(
            "amqp://127.0.0.1:1",
            credentials: { .plain(user: "ada", password: "token", expiresAt: .now + .seconds(60)) }
        )
        await #expect(throws: WarrenError.self) {
            try await JobClient(unreached).enqueue(SendEmail(to: "ada", subject: "Hi"))
        }
        await unreached.close()
    }
}
