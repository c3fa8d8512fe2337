import AMQP
import RabbitMQ
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConnectingDeadlineTests {
    @Test func `a broker that never answers holds no publish longer than its own deadline`() async throws {
        let server = MuteServer()
        let client = RabbitMQClient(url: "amqp://127.0.0.1:\(server.port)?connection_timeout=4000")
        let start = ContinuousClock.now
        // The patient one connects first; the hasty one must not wait with it.
        let ended = await withTaskGroup { group in
            for seconds in [3, 0.2] {
                group.addTask { (seconds, await outcome(of: client, within: .seconds(seconds))) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(ended.map(\.0) == [0.2, 3])
        #expect(ended.map(\.1?.code) == [.deadlineExceeded, .deadlineExceeded])
        #expect(ended[0].1?.outcomeIsKnown == true)
        #expect(ContinuousClock.now - start >= .seconds(3))
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
