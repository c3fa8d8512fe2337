import Foundation
import TestSupport
import Testing

@testable import WarrenLoad

@Suite struct FuzzPropertyTests {
    private static let captures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "WarrenTests/Fixtures/celery-messages.json").path

    @Test func `Thousands of hostile messages each end as a job or as an error with a code`() async throws {
        let rounds = PropertyRounds.count(1_000)
        let run = FuzzRun(seeds: try FuzzSeed.all(captures: Self.captures), seed: 2026)
        var report = FuzzRun.Report(seed: run.seed)
        for first in stride(from: 0, to: rounds, by: 50) {
            let part = run.run(first..<(first + 50))
            report.read += part.read
            report.malformed += part.malformed
            report.refused.merge(part.refused, uniquingKeysWith: +)
            report.failures += part.failures
            await Task.yield()
        }
        #expect(report.failures == [])
        #expect(report.read + report.malformed + report.refused.values.reduce(0, +) == rounds)
        // Every path is taken: a fuzzer whose every message is refused at first sight finds nothing.
        #expect(report.read > rounds / 50 && report.malformed > rounds / 50)
        for code in ["not-json", "too-deep", "not-three-parts", "missing-task", "payload-mismatch"] {
            #expect(report.refused[code, default: 0] > 0, "\(report.refused)")
        }
    }

    @Test func `The same seed makes the same messages, each of which can be made alone`() throws {
        let seeds = try FuzzSeed.all(captures: Self.captures)
        func message(_ index: Int) -> FuzzSeed {
            var mutator = Mutator(generator: SplitMix64(seed: 7, index: index), seeds: seeds)
            return mutator.message()
        }
        let again = message(11)
        #expect(message(11).properties == again.properties && message(11).body == again.body)
        #expect((0..<20).contains { message($0).properties != again.properties })
    }
}
