import AMQP
import RabbitMQ

/// A RabbitMQ that others use too: cases run side by side, under names of their own.
struct RabbitMQUnderTest: BrokerUnderTest {
    let url: String

    func connect() -> any Transport { RabbitMQClient(url: url, connectionName: "conformance tests") }

    // Its time is everybody's.
    func pass(_ time: Duration) async throws { try await ContinuousClock().sleep(for: time) }

    // Each look at the broker is a request over the network, and two cores may serve a dozen cases.
    func pause(attempt: Int) async throws -> Bool {
        try await pass(.milliseconds(attempt < 5 ? 2 : 10))
        return attempt < 1000
    }
}
