import Synchronization
import TestSupport
import Testing

/// Gives each run of a case its ``CaseRun``, and counts it.
struct CaseTrait: SuiteTrait, TestTrait, TestScoping {
    /// As many cases at a time as RabbitMQ answers promptly on two cores: deadlines of some 50 ms are looked at.
    private static let permits = Permits(12)
    private static let counts = Mutex<[Broker.Product: Int]>([:])

    /// How many runs there were on a broker.
    static func count(on product: Broker.Product) -> Int { counts.withLock { $0[product] ?? 0 } }

    var isRecursive: Bool { true }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await Self.permits.hold {
            let run = CaseRun()
            let result: Result<Void, any Error>
            do {
                try await CaseRun.$current.withValue(run) { try await function() }
                result = .success(())
            } catch { result = .failure(error) }
            await run.end()
            if let product = run.product { Self.counts.withLock { $0[product, default: 0] += 1 } }
            try result.get()
        }
    }
}
