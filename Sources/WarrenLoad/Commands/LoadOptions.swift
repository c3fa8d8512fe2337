import ArgumentParser
import Foundation

/// What all measurements share.
struct LoadOptions: ParsableArguments {
    @Option(help: "The broker. (default: WARREN_BROKER_URL, else amqp://guest:guest@127.0.0.1:5672/%2f)")
    var url = ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "amqp://guest:guest@127.0.0.1:5672/%2f"

    @Option(help: "How many messages or jobs each measurement takes; serial ones take a fiftieth.")
    var count = 100_000

    @Option(help: "How often each measurement is made.")
    var repetitions = 3

    @Option(parsing: .upToNextOption, help: "Make these measurements and their counterparts only.")
    var only: [Work] = []

    @Flag(help: "Print a line of JSON for each measurement, and no table.")
    var json = false

    func validate() throws {
        guard count >= 100 else { throw ValidationError("--count is at least 100.") }
        guard 1...100 ~= repetitions else { throw ValidationError("--repetitions is from 1 to 100.") }
    }
}
