import ArgumentParser
import Foundation

/// `warren-load fuzz`: feeds hostile messages to everything that reads messages.
struct FuzzCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fuzz",
        abstract: "Feeds mutated messages to the decoders; no broker is needed.",
        discussion: """
            Real messages, Celery's and Warren's, are mutated in their bytes and their structure and processed like a \
            delivery: \
            properties, envelope, payload, outcome, and the copies for retry, dead letter and replay. Each must \
            become a job or an \
            error with a code, in bounded time. The same seed makes the same cases; repeat a crash with --first and \
            --count 1.
            """
    )

    @Option(help: "The number of messages.") var count = 1_000_000
    @Option(help: "The seed of the random numbers.") var seed: UInt64 = 1
    @Option(help: "The number of the first case.") var first = 0
    @Option(help: "The file of messages captured from Celery.")
    var captures = "Tests/WarrenTests/Fixtures/celery-messages.json"

    func validate() throws {
        guard count > 0, first >= 0 else {
            throw ValidationError("--count must be at least 1, and --first at least 0.")
        }
    }

    func run() throws {
        let run = FuzzRun(seeds: try FuzzSeed.all(captures: captures), seed: seed)
        let report = run.run(first..<(first + count)) { index in
            if index % 100_000 == 99_999 { FileHandle.standardError.write(Data("case \(index)\n".utf8)) }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        print(String(decoding: try encoder.encode(report), as: UTF8.self))
        if !report.failures.isEmpty { throw ExitCode.failure }
    }
}
