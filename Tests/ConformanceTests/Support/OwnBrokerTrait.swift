import AMQP
import Synchronization
import TestSupport
import Testing

/// Starts a RabbitMQ for a suite that would disturb the others' one, where there is RabbitMQ at all.
struct OwnBrokerTrait: SuiteTrait, TestScoping {
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
