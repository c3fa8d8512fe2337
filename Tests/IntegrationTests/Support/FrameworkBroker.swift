import AMQP
import EmbeddedBroker
import TestSupport
import Testing

/// A broker that a test of the framework is run on.
enum FrameworkBroker: String, Sendable {
    /// One in this process, a new one for each test.
    case embedded
    /// The one that `./compose/test` started; passed over where there is none.
    case rabbitMQ

    /// The one that the running test is to use.
    @TaskLocal static var current = FrameworkBroker.rabbitMQ

    fileprivate var isThere: Bool { self == .embedded || TestBroker.url != nil }
}

/// Runs each test of a suite on each of its brokers, one after the other.
struct FrameworkBrokerTrait: SuiteTrait, TestTrait, TestScoping {
    let brokers: [FrameworkBroker]
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        for broker in brokers where broker.isThere {
            do {
                try await FrameworkBroker.$current.withValue(broker) { try await function() }
            } catch {
                Issue.record(error, "on the broker '\(broker.rawValue)'", sourceLocation: test.sourceLocation)
            }
        }
    }
}

extension Trait where Self == FrameworkBrokerTrait {
    /// Runs each test on these brokers.
    static func broker(_ brokers: FrameworkBroker...) -> Self { FrameworkBrokerTrait(brokers: brokers) }
}

/// Runs `body` with a client of the test's broker, and closes it, also when `body` throws.
func withTransport<Value: Sendable>(_ body: (any Transport) async throws -> Value) async throws -> Value {
    switch FrameworkBroker.current {
    case .rabbitMQ: try await withClient { try await body($0) }
    case .embedded: try await body(EmbeddedBroker())
    }
}
