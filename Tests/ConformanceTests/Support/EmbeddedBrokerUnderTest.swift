import AMQP
import EmbeddedBroker

/// An embedded broker of one case's own, on a clock that stands still until the case lets time pass.
struct EmbeddedBrokerUnderTest: BrokerUnderTest {
    private let clock = VirtualClock()
    private let broker: EmbeddedBroker

    init(version: BrokerVersion) { broker = EmbeddedBroker(version: version, clock: clock) }

    func connect() -> any Transport { broker.connect(name: "conformance tests") }

    func pass(_ time: Duration) async throws { clock.advance(by: time) }

    // The broker has done what it can by itself: readers may have to get to it first, and then it is a matter of time.
    func pause(attempt: Int) async throws -> Bool {
        await Task.yield()
        if attempt >= 10 { clock.advance(by: .milliseconds(10)) }
        return attempt < 2000
    }

    func setAlarm(_ isOn: Bool) async throws {
        if isOn { broker.setAlarm(.memory) } else { broker.clearAlarm(.memory) }
    }

    func closeConnections() async throws { broker.closeConnections() }
}
