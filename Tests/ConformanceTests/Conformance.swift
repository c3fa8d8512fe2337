import AMQP
import RabbitMQ
import Synchronization
import TestSupport
import Testing

/// The behaviour of a broker at the `Transport`, as cases that are written once and run on every broker.
///
/// `swift test --filter Conformance` runs them on RabbitMQ, if one was started, and on the embedded broker as the same
/// version, and prints the number of cases for each. Where RabbitMQ differs from its documentation, RabbitMQ is right,
/// and the case says so. Cases that depend on the version ask `BrokerFeatures`; no case compares versions.
@Suite(CaseCountTrait(), CaseTrait(), .timeLimit(.minutes(2)))
enum Conformance {
    private static let knownVersion = Mutex(BrokerVersion(3, 10))

    /// The version under test: RabbitMQ's, or without RabbitMQ the oldest supported version.
    static var version: BrokerVersion { knownVersion.withLock { $0 } }

    static func setVersion(_ version: BrokerVersion) { knownVersion.withLock { $0 = version } }
}

/// Finds out RabbitMQ's version before the first case, and prints the number of cases after the last.
struct CaseCountTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        if let url = TestBroker.url {
            let client = try RabbitMQClient(url: url, connectionName: "conformance tests")
            Conformance.setVersion(try await client.broker().version)
            await client.close()
        }
        try await function()
        let counts = ConformanceBroker.all.map {
            (CaseTrait.count(on: $0.product), "\($0.product.rawValue) \(Conformance.version)")
        }
        let summary = counts.enumerated().map { "\($1.0)\($0 == 0 ? " cases" : "") on \($1.1)" }
        print("conformance: \(summary.joined(separator: ", "))")
    }
}
