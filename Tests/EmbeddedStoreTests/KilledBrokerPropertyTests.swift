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
                // One in four is killed while it opens or creates its file, the others during their work.
                let eventCount =
                    Int.random(in: 0..<4, using: &random) == 0
                    ? Int.random(in: 0...3, using: &random)
                    : Int.random(in: 4...600, using: &random)
                let events = try await StoringProcess.run(
                    on: folder.path,
                    seed: random.next(),
                    firstNumber: (round + 1) * 1_000_000,
                    killAfter: eventCount
                )
                if !events.contains(.opened) { early += 1 }
                confirmed += events.count { if case .confirmed = $0 { true } else { false } }
                model.add(events)
                try await folder.run { broker in
                    let verdict = try await model.judge(broker)
                    #expect(verdict.lost.isEmpty, "round \(round): lost \(verdict.lost.sorted())")
                    #expect(verdict.doubled.isEmpty, "round \(round): doubled \(verdict.doubled)")
                    #expect(verdict.transient.isEmpty, "round \(round): transient \(verdict.transient)")
                    // Starts over from time to time; otherwise the file would only grow.
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
