import AMQP
import ArgumentParser
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `dead list`: prints the dead letters that match.
struct DeadListCommand<App: WarrenApplication>: BrokerCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "list",
            abstract: "List dead letters.",
            discussion: """
                With --json, each line is an object: id, name, queue, reason, errorType, message, details, failures, \
                firstFailedAt, lastFailedAt, diedAt, originalExchange, originalRoutingKey, and history, whose elements have \
                attempt, time, worker, errorType, message. Unknown values are left out.
                """
        )
    }

    @OptionGroup var target: TargetOptions<App>
    @OptionGroup var filter: DeadFilterOptions
    @Option(help: "The largest number to list of each queue.")
    var limit = 100
    @OptionGroup var output: OutputOptions
    @OptionGroup var brokerOptions: BrokerOptions

    /// Prints the dead letters.
    func run() async throws {
        let topology = try target.topology()
        let queues = try target.queues(topology).map(\.name)
        let now = Date()
        let reports = try await brokerOptions.withBroker(as: "dead list", of: App.self) { broker in
            var reports: [DeadLetterReport] = []
            for queue in queues {
                let letters = try await DeadLetters(broker, topology: topology)
                    .list(in: queue, where: filter.filter(now: now), limit: limit)
                reports += letters.map { DeadLetterReport($0) }
            }
            return reports
        }
        if output.isJSON {
            for report in reports { try Output.json(report) }
        } else if reports.isEmpty {
            Output.note("No dead letters.")
        } else {
            Output.line(DeadLetterReport.table(reports, now: now))
        }
    }
}
