import TestSupport
import Testing

/// Makes the suites that start private brokers run one after the other.
///
/// A RabbitMQ that starts uses all of a core for seconds. Suites wait here before the time limits of their tests begin.
struct PrivateBrokerTrait: SuiteTrait, TestScoping {
    private static let permits = Permits(1)

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await Self.permits.hold { try await function() }
    }
}

extension Trait where Self == PrivateBrokerTrait {
    /// The suite starts private brokers while no other suite does.
    static var privateBrokers: Self { PrivateBrokerTrait() }
}
