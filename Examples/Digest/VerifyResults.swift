import ArgumentParser
import Foundation
import Warren
import WarrenCommands

/// `digest verify`: compares the results with `sha256sum`, and the dead letters with the planted jobs.
struct VerifyResults: BrokerCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare the results with the output of sha256sum.",
        discussion: """
            The last line on standard output is a JSON object: enqueued, succeeded, retried, dead, redelivered, lost, wrong, \
            seconds. The exit code is 0 only if lost and wrong are 0 and exactly the planted jobs are dead.
            """
    )

    @Option(help: ArgumentHelp("The file that 'enqueue --ledger' wrote.", valueName: "file"))
    var ledger: String
    @Option(help: ArgumentHelp("The folder of the workers' results.", valueName: "folder"))
    var results: String
    @Option(help: ArgumentHelp("The output of sha256sum, or shasum -a 256, for all the files.", valueName: "file"))
    var sums: String
    @Option(help: "The queue.")
    var queue = DigestFile.queue.rawValue
    @OptionGroup var brokerOptions: BrokerOptions

    func run() async throws {
        var folder = ResultsFolder(results)
        try folder.readMore()
        let dead = try await brokerOptions.withBroker(as: "digest verify", of: Digest.self) { broker in
            try await DeadLetters(broker, topology: Digest.topology).list(in: QueueName(queue), limit: 1_000_000)
        }
        let verdict = Verdict(
            ledger: try JSONLines.read(LedgerEntry.self, path: ledger),
            results: folder.results,
            dead: dead.map {
                DeadJob(
                    job: $0.id ?? "without an id",
                    failures: $0.record.failures,
                    at: $0.record.deadAt?.timeIntervalSince1970
                )
            },
            sums: try Sums(reading: try Data(contentsOf: URL(fileURLWithPath: sums)))
        )
        report("lost", verdict.lost)
        report("wrong", verdict.wrong)
        report("wrong dead letter", verdict.deadWrongly)
        if verdict.repeated > 0 {
            Output.note("\(verdict.repeated) jobs ran more than once, as at-least-once delivery allows.")
        }
        if verdict.leftOut > 0 {
            Output.note("\(verdict.leftOut) files have no job because their names are not UTF-8.")
        }
        Output.line(verdict.line)
        if !verdict.isGood { throw ExitCode.failure }
    }

    private func report(_ kind: String, _ cases: [String]) {
        for text in cases.sorted().prefix(10) { Output.note("\(kind): \(text.debugDescription)") }
        if cases.count > 10 { Output.note("\(kind): and \(cases.count - 10) more") }
    }
}
