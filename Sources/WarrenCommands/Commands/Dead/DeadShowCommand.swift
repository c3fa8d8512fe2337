import AMQP
import ArgumentParser
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `dead show`: prints everything about one dead letter.
struct DeadShowCommand<App: WarrenApplication>: BrokerCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "show",
            abstract: "Show everything about one dead letter, including its payload.",
            discussion:
                "With --json, the output is one object: the same as in 'dead list', with body, the message's body as text."
        )
    }

    @Argument(help: "The job's id.")
    var id: String
    @OptionGroup var target: TargetOptions<App>
    @OptionGroup var output: OutputOptions
    @OptionGroup var brokerOptions: BrokerOptions

    /// Prints the dead letter.
    func run() async throws {
        let topology = try target.topology()
        let queues = try target.queues(topology).map(\.name)
        let found = try await brokerOptions.withBroker(as: "dead show", of: App.self) { broker -> DeadLetter? in
            for queue in queues {
                if let letter = try await DeadLetters(broker, topology: topology).letter(id, in: queue) {
                    return letter
                }
            }
            return nil
        }
        guard let found else {
            let names = queues.map(\.rawValue).joined(separator: ", ")
            throw WarrenError(.deadLettersFailed, "There is no dead letter of the job '\(id)' (looked in: \(names)).")
        }
        let report = DeadLetterReport(found, showsBody: true)
        if output.isJSON {
            try Output.json(report)
        } else {
            for line in report.lines(now: Date()) { Output.line(line) }
        }
    }
}
