import ArgumentParser
import Foundation

/// `warren-load soak`: the client at full rate for a long time, or through a network that fails.
struct SoakCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "soak",
        abstract: "Publishes and consumes at full rate, accounts for every message, and shows what the process takes.",
        discussion: """
            One task publishes, with 1,000 messages awaiting their confirm, and one consumes. A message that was \
            confirmed and never delivered is lost; one that is delivered again is doubled, which only cuts may cause. \
            Every ten seconds a line shows the rate, the resident memory, the threads and the file descriptors: none of \
            the last three may grow.

            With --cuts everything goes through a proxy. It first resets a connection after each byte of the log-in, \
            and a new client has to publish and consume a message all the same. Later it resets all connections at \
            random times, also in the middle of a frame. Build it with --sanitize=address to find what the client \
            does to memory then.
            """
    )

    @Option(help: "The broker's URL. (default: WARREN_BROKER_URL, else amqp://guest:guest@127.0.0.1:5672/%2f)")
    var url = ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "amqp://guest:guest@127.0.0.1:5672/%2f"

    @Option(help: "The number of messages.") var messages: Int?
    @Option(help: "The number of minutes, instead of a number of messages.") var minutes: Double?
    @Flag(help: "Cut connections.") var cuts = false
    @Option(help: "The longest time between two cuts, in seconds.") var pause = 1.0
    @Option(help: "The seed of the random cuts.") var seed: UInt64 = 1

    func validate() throws {
        guard (messages ?? 1) > 0, (minutes ?? 1) > 0, pause > 0, messages == nil || minutes == nil else {
            throw ValidationError("Give --messages or --minutes; numbers must be more than 0.")
        }
    }

    func run() async throws {
        let end: Soak.End = minutes.map { .after(.seconds($0 * 60)) } ?? .messages(messages ?? 1_000_000)
        let report =
            if cuts {
                try await CutSoak(url: url, seed: seed, pause: .seconds(pause)).run(until: end)
            } else {
                try await Soak(url: url).run(until: end)
            }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        print(String(decoding: try encoder.encode(report), as: UTF8.self))
        if report.lost > 0 || !cuts && report.doubled > 0 { throw ExitCode.failure }
    }
}
