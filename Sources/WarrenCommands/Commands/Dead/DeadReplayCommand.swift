import AMQP
import ArgumentParser
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `dead replay`: sends dead letters to their original queue.
struct DeadReplayCommand<App: WarrenApplication>: BrokerCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "replay",
            abstract: "Send dead letters to their original queue, with all attempts renewed.",
            discussion: """
                Each job is published and confirmed before it is removed from the dead queue. A job whose queue no longer exists \
                stays, and makes the exit code 1.

                With --json, each line is an object for one queue: queue, replayed, unroutable.
                """
        )
    }

    @OptionGroup var selection: DeadSelectionOptions
    @Option(help: ArgumentHelp("The largest number to replay per second.", valueName: "number"))
    var rate: Double?
    @OptionGroup var target: TargetOptions<App>
    @OptionGroup var output: OutputOptions
    @OptionGroup var brokerOptions: BrokerOptions

    /// Validates the rate.
    func validate() throws {
        guard rate.map({ $0 > 0 && $0.isFinite }) ?? true else { throw ValidationError("The rate must be above 0.") }
    }

    /// Replays the selected dead letters and prints their number.
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
        let rest = report.unroutable > 0 ? ", \(report.unroutable) could not be delivered and stay" : ""
        Output.line("\(queue): \(report.replayed) replayed\(rest)")
    }

    private struct Line: Encodable {
        let queue: String
        let replayed: Int
        let unroutable: Int
    }
}
