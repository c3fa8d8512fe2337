import AMQP
import EmbeddedBroker

/// An embedded broker of one case's own, on a clock that stands still until the case lets time pass.
struct EmbeddedBrokerUnderTest: BrokerUnderTest {
    private let clock = VirtualClock()
    private let broker: EmbeddedBroker

    init(version: BrokerVersion) { broker = EmbeddedBroker(version: version, clock: clock) }

    func connect() -> any Transport { broker.connect(name: "conformance tests") }

    func pass(_ time: Duration) async throws { clock.advance(by: time) }

    // The broker has done what it can by itself: readers have to get to it first, on a busy machine too, and then it is a matter of time.
    func pause(attempt: Int) async throws -> Bool {
        guard attempt >= 50 else {
            await Task.yield()
            return true
        }
        try await ContinuousClock().sleep(for: .milliseconds(1))
        clock.advance(by: .milliseconds(10))
        return attempt < 5000
    }

    func setAlarm(_ isOn: Bool) async throws {
        if isOn { broker.setAlarm(.memory) } else { broker.clearAlarm(.memory) }
    }

    func closeConnections() async throws { broker.closeConnections() }
}
