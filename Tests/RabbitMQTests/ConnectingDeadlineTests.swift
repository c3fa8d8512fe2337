import AMQP
import RabbitMQ
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConnectingDeadlineTests {
    @Test func `a broker that never answers holds no publish longer than its own deadline`() async throws {
        let server = MuteServer()
        let client = RabbitMQClient(url: "amqp://127.0.0.1:\(server.port)?connection_timeout=3600000")
        // The first publish begins to connect, which takes longer than the test may; the second finds that under way.
        for _ in 1...2 {
            let error = await outcome(of: client, within: .milliseconds(200))
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.outcomeIsKnown == true)
        }
        withExtendedLifetime(server) {}
    }

    private func outcome(of client: RabbitMQClient, within timeout: Duration) async -> AMQPError? {
        do throws(AMQPError) {
            try await client.publish(Message(body: [1]), to: .queue("letters"), timeout: timeout)
            return nil
        } catch {
            return error
        }
    }
}
