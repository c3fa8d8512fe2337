import AMQP
import ArgumentParser
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `dead replay`: puts dead letters back to where they came from.
struct DeadReplayCommand<App: WarrenApplication>: BrokerCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "replay",
            abstract: "Put dead letters back to where they came from, with all their attempts.",
            discussion: """
                Each is published and confirmed before it is taken out of the dead queue. One that no queue takes any more stays, \
                and makes the exit code 1.

                With --json each line is an object for one queue: queue, replayed, unroutable.
                """
        )
    }

    @OptionGroup var selection: DeadSelectionOptions
    @Option(help: ArgumentHelp("How many a second at most.", valueName: "number"))
    var rate: Double?
    @OptionGroup var target: TargetOptions<App>
    @OptionGroup var output: OutputOptions
    @OptionGroup var brokerOptions: BrokerOptions

    /// Checks the rate.
    func validate() throws {
        guard rate.map({ $0 > 0 && $0.isFinite }) ?? true else { throw ValidationError("The rate must be above 0.") }
    }

    /// Replays, and says how many.
    func run() async throws {
        let topology = try target.topology()
        let queues = try target.queues(topology).map(\.name)
        let filter = selection.filter(now: Date())
        let unroutable = try await brokerOptions.withBroker(as: "dead replay", of: App.self) { broker in
            var unroutable = 0
            for queue in queues {
                let report = try await DeadLetters(broker, topology: topology)
                    .replay(from: queue, where: filter, limit: selection.limit, perSecond: rate)
                try show(report, queue)
                unroutable += report.unroutable
            }
            return unroutable
        }
        if unroutable > 0 { throw ExitCode.failure }
    }

    private func show(_ report: ReplayReport, _ queue: QueueName) throws {
        if output.isJSON {
            let line = Line(queue: queue.rawValue, replayed: report.replayed, unroutable: report.unroutable)
            return try Output.json(line)
        }
        let rest = report.unroutable > 0 ? ", \(report.unroutable) had nowhere to go and stay" : ""
        Output.line("\(queue): \(report.replayed) replayed\(rest)")
    }

    private struct Line: Encodable {
        let queue: String
        let replayed: Int
        let unroutable: Int
    }
}
