import AMQP
import EmbeddedBroker
import RabbitMQ
import Synchronization
import TestSupport
import Testing

/// Control of a broker beyond what a `Transport` offers: connections, time, alarms.
///
/// Each run of a case has its own, so a case can let time pass without disturbing another.
protocol BrokerControl: Sendable {
    /// Opens a connection to the broker.
    func connect() -> any Transport

    /// Lets time pass at the broker.
    func pass(_ time: Duration) async throws

    /// Lets a moment pass in which the broker can make progress, for loops that wait for a condition.
    ///
    /// - Parameter attempt: The number of times that the loop has waited before.
    /// - Returns: Whether it is worth waiting longer.
    func pause(attempt: Int) async throws -> Bool

    /// Raises or clears a memory alarm, which blocks publishers.
    func setAlarm(_ isOn: Bool) async throws

    /// Closes all connections as an operator does; clients may reconnect.
    func closeConnections() async throws
}

/// An embedded broker for one case, on a clock that stands still until the case lets time pass.
struct EmbeddedBrokerControl: BrokerControl {
    private let clock = VirtualClock()
    private let broker: EmbeddedBroker

    init(version: BrokerVersion) { broker = EmbeddedBroker(version: version, clock: clock) }

    func connect() -> any Transport { broker.connect(name: "conformance tests") }

    func pass(_ time: Duration) async throws { clock.advance(by: time) }

    // The broker has done all that it can by itself: first readers must get to run, even on a busy machine; after that
    // only time can help.
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

/// A RabbitMQ that is shared by the cases, which use unique names; or a private one.
struct RabbitMQControl: BrokerControl {
    let url: String
    /// The process of a private broker.
    var privateBroker: PrivateBroker?

    /// A case tried to disturb a shared broker.
    struct IsShared: Error {}

    func connect() -> any Transport { rabbitMQClient(url, name: "conformance tests") }

    // Real time.
    func pass(_ time: Duration) async throws { try await ContinuousClock().sleep(for: time) }

    // Each look at the broker is a request over the network, and two cores may serve a dozen cases.
    func pause(attempt: Int) async throws -> Bool {
        try await pass(.milliseconds(attempt < 5 ? 2 : 10))
        return attempt < 6000
    }

    func setAlarm(_ isOn: Bool) async throws {
        guard let privateBroker else { throw IsShared() }
        try await privateBroker.ctl("set_vm_memory_high_watermark", isOn ? "0" : "0.4")
    }

    func closeConnections() async throws {
        guard let privateBroker else { throw IsShared() }
        try await privateBroker.ctl("close_all_connections", "maintenance")
    }
}

/// Starts a private RabbitMQ for a suite that would disturb the shared one, if there is RabbitMQ at all.
struct PrivateBrokerTrait: SuiteTrait, TestScoping {
    private static let started = Mutex<PrivateBroker?>(nil)

    static var broker: PrivateBroker? { started.withLock(\.self) }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard TestBroker.url != nil else { return try await function() }
        let version = Conformance.version
        let isSystem = version < BrokerVersion(4, 0)
        let broker = try await PrivateBroker.start(version: isSystem ? nil : "\(version.major).\(version.minor)")
        Self.started.withLock { $0 = broker }
        let result: Result<Void, any Error>
        do {
            try await function()
            result = .success(())
        } catch { result = .failure(error) }
        try await broker.remove()
        try result.get()
    }
}

/// A client of the tests' broker, whose URL is known to be valid.
func rabbitMQClient(_ url: String, name: String) -> RabbitMQClient {
    guard let client = try? RabbitMQClient(url: url, connectionName: name) else {
        preconditionFailure("'\(url)' is not a broker's URL.")
    }
    return client
}
