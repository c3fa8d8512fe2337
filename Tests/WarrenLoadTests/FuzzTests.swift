import Foundation
import Testing

@testable import WarrenLoad

@Suite struct FuzzTests {
    private static let captures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "WarrenTests/Fixtures/celery-messages.json").path

    @Test(.timeLimit(.minutes(1))) func `Thousands of hostile messages each end as a job or as an error with a code`()
        async throws
    {
        let run = FuzzRun(seeds: try FuzzSeed.all(captures: Self.captures), seed: 2026)
        var report = FuzzRun.Report(seed: run.seed)
        for first in stride(from: 0, to: 3_000, by: 50) {
            let part = run.run(first..<(first + 50))
            report.read += part.read
            report.malformed += part.malformed
            report.refused.merge(part.refused, uniquingKeysWith: +)
            report.failures += part.failures
            // Other tests wait for this thread, and some of them have deadlines.
            await Task.yield()
        }
        #expect(report.failures == [])
        #expect(report.read + report.malformed + report.refused.values.reduce(0, +) == 3_000)
        // Every path is taken: a fuzzer whose every message is refused at first sight finds nothing.
        #expect(report.read > 60 && report.malformed > 60)
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
