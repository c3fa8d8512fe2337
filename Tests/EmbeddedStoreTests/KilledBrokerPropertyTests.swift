import AMQP
import EmbeddedBroker
import EmbeddedStore
import Foundation
import TestSupport
import Testing

/// Processes with a durable broker are killed at random points; then their file is opened and looked at.
@Suite(.timeLimit(.minutes(30))) struct KilledBrokerPropertyTests {
    private static let kills = PropertyRounds.count(20)
    private static let seed = PropertyRounds.seeds(1, from: 20_261_121).lowerBound

    @Test func `Nothing that was confirmed or declared is lost when the process is killed`() async throws {
        try await StoreFolder.with { folder in
            var random = SeededGenerator(seed: Self.seed)
            var model = KeptModel()
            var confirmed = 0
            var early = 0
            for round in 0..<Self.kills {
                // Now and then it is killed while it opens or makes its file, and else in the midst of its work.
                let lines =
                    Int.random(in: 0..<4, using: &random) == 0
                    ? Int.random(in: 0...3, using: &random)
                    : Int.random(in: 4...600, using: &random)
                let written = try await StoringProcess.run(
                    on: folder.path,
                    seed: random.next(),
                    firstNumber: (round + 1) * 1_000_000,
                    killAfter: lines
                )
                if !written.contains("opened ") { early += 1 }
                confirmed += written.count { $0.hasPrefix("confirmed ") }
                model.add(written)
                try await folder.run { broker in
                    let verdict = try await model.judge(broker)
                    #expect(verdict.lost.isEmpty, "round \(round): lost \(verdict.lost.sorted())")
                    #expect(verdict.doubled.isEmpty, "round \(round): doubled \(verdict.doubled)")
                    #expect(verdict.transient.isEmpty, "round \(round): transient \(verdict.transient)")
                    // Begins anew from time to time, or the file would only grow.
                    guard model.count > 2_000 else { return }
                    for queue in broker.queueNames { try await broker.purgeQueue(queue) }
                    model.forgetMessages()
                }
                if Int.random(in: 0..<10, using: &random) == 0 {
                    for name in try folder.names {
                        try FileManager.default.removeItem(atPath: folder.folder.path + "/" + name)
                    }
                    model = KeptModel()
                }
            }
            print(
                "killed \(Self.kills) times, \(early) of them before the file was open; \(confirmed) confirmed; seed \(Self.seed)"
            )
            #expect(Self.kills < 10 || confirmed > Self.kills)
        }
    }
}
