import AMQP
import RabbitMQ
import TestSupport

/// A RabbitMQ that others use too: cases run side by side, under names of their own.
struct RabbitMQUnderTest: BrokerUnderTest {
    let url: String
    /// The broker itself, where it is of the case's own.
    var own: PrivateBroker?

    /// A case did to a shared broker what would disturb the others.
    struct IsShared: Error {}

    func connect() -> any Transport { RabbitMQClient(url: url, connectionName: "conformance tests") }

    // Its time is everybody's.
    func pass(_ time: Duration) async throws { try await ContinuousClock().sleep(for: time) }

    // Each look at the broker is a request over the network, and two cores may serve a dozen cases.
    func pause(attempt: Int) async throws -> Bool {
        try await pass(.milliseconds(attempt < 5 ? 2 : 10))
        return attempt < 6000
    }

    func setAlarm(_ isOn: Bool) async throws {
        guard let own else { throw IsShared() }
        try await own.ctl("set_vm_memory_high_watermark", isOn ? "0" : "0.4")
    }

    func closeConnections() async throws {
        guard let own else { throw IsShared() }
        try await own.ctl("close_all_connections", "maintenance")
    }
}
