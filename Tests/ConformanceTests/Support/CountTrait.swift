import AMQP
import RabbitMQ
import TestSupport
import Testing

/// Learns RabbitMQ's version before the first case, and tells at the end how many cases ran.
struct CountTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        if let url = TestBroker.url {
            let client = RabbitMQClient(url: url, connectionName: "conformance tests")
            Conformance.setVersion(try await client.broker().version)
            await client.close()
        }
        try await function()
        let counts = Broker.all.map {
            (CaseTrait.count(on: $0.product), "\($0.product.rawValue) \(Conformance.version)")
        }
        let told = counts.enumerated().map { "\($1.0)\($0 == 0 ? " cases" : "") on \($1.1)" }
        print("conformance: \(told.joined(separator: ", "))")
    }
}
