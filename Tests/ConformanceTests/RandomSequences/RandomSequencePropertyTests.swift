import AMQP
import RabbitMQ
import Synchronization
import TestSupport
import Testing

/// Random sequences of operations leave RabbitMQ and the embedded broker in the same state after each step.
///
/// A failure prints the `WARREN_TEST_SEED` with which its sequence is played again, alone.
@Suite(.enabled(if: TestBroker.url != nil, "start a broker and export its URL: ./compose/test does both"))
struct RandomSequencePropertyTests {
    private static let seeds = PropertyRounds.seeds(60, from: 1)
    private static let length = 40
    private static let atATime = 6

    @Test func `The embedded broker does what RabbitMQ does`() async throws {
        let url = try #require(TestBroker.url)
        let client = try RabbitMQClient(url: url, connectionName: "random sequences")
        let version = try await client.broker().version
        await client.close()
        let comparison = SequenceComparison(url: url, version: version)
        let (first, count) = (Self.seeds.lowerBound, Self.seeds.count)
        let seedCounter = SeedCounter(from: first, count: count)
        await withDiscardingTaskGroup { group in
            for _ in 0..<Self.atATime {
                group.addTask {
                    while let seed = seedCounter.next() {
                        if await !Self.isAlike(seed, comparison) { seedCounter.countFailure() }
                    }
                }
            }
        }
        print(
            "conformance: \(count) random sequences from seed \(first) on RabbitMQ \(version) and EmbeddedBroker \(version)"
        )
    }

    private static func isAlike(_ seed: UInt64, _ comparison: SequenceComparison) async -> Bool {
        let operations = OperationSequence(seed: seed, length: length).operations
        guard let difference = await comparison.difference(in: operations) else { return true }
        let shrunk = await comparison.shrunk(Array(operations[...difference.step]))
        let last = await comparison.difference(in: shrunk) ?? difference
        Issue.record(
            """
            The brokers differ. Repeat it with WARREN_TEST_SEED=\(seed): \(difference)
            Reduced to:
            \(shrunk.map { "  \($0)" }.joined(separator: "\n"))
            \(last)
            """
        )
        return false
    }
}

/// The seeds to play, handed out one by one until all are played or five have failed.
private final class SeedCounter: Sendable {
    private let state: Mutex<(next: UInt64, failures: Int)>
    private let end: UInt64

    init(from first: UInt64, count: Int) {
        state = Mutex((first, 0))
        end = first + UInt64(count)
    }

    func next() -> UInt64? {
        state.withLock { state in
            guard state.next < end, state.failures < 5 else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    func countFailure() { state.withLock { $0.failures += 1 } }
}
