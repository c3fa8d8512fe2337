import AMQP
import ArgumentParser
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `dead discard`: deletes dead letters.
struct DeadDiscardCommand<App: WarrenApplication>: BrokerCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "discard",
            abstract: "Delete dead letters for good.",
            discussion: "With --json, each line is an object for one queue: queue, discarded."
        )
    }

    @OptionGroup var selection: DeadSelectionOptions
    @OptionGroup var target: TargetOptions<App>
    @OptionGroup var output: OutputOptions
    @OptionGroup var brokerOptions: BrokerOptions

    /// Discards the selected dead letters and prints their number.
    func run() async throws {
        let topology = try target.topology()
        let queues = try target.queues(topology).map(\.name)
        let filter = selection.filter(now: Date())
        try await brokerOptions.withBroker(as: "dead discard", of: App.self) { broker in
            for queue in queues {
                let count = try await DeadLetters(broker, topology: topology)
                    .discard(from: queue, where: filter, limit: selection.limit)
                if output.isJSON {
                    try Output.json(Line(queue: queue.rawValue, discarded: count))
                } else {
                    Output.line("\(queue): \(count) discarded")
                }
            }
        }
    }

    private struct Line: Encodable {
        let queue: String
        let discarded: Int
    }
}
