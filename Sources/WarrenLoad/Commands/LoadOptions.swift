import ArgumentParser
import Foundation

/// The options that all measurements share.
struct LoadOptions: ParsableArguments {
    @Option(help: "The broker's URL. (default: WARREN_BROKER_URL, else amqp://guest:guest@127.0.0.1:5672/%2f)")
    var url = ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "amqp://guest:guest@127.0.0.1:5672/%2f"

    @Option(help: "The number of messages or jobs in each measurement; serial ones take a fiftieth.")
    var count = 100_000

    @Option(help: "The number of times each measurement is repeated.")
    var repetitions = 3

    @Option(parsing: .upToNextOption, help: "Make only these measurements and their counterparts.")
    var only: [Work] = []

    @Flag(help: "Print a line of JSON for each measurement instead of a table.")
    var json = false

    func validate() throws {
        guard count >= 100 else { throw ValidationError("--count must be at least 100.") }
        guard 1...100 ~= repetitions else { throw ValidationError("--repetitions must be from 1 to 100.") }
    }
}
