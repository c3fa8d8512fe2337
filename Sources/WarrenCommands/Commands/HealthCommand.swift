public import ArgumentParser
import Foundation

/// `health`: says whether the workers of health files are live, for probes that run a command.
public struct HealthCommand: ParsableCommand {
    /// Name and help.
    public static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Say whether a worker is live, by its health file.",
        discussion: """
            The worker writes the file: 'worker --health-file PATH'. Exit code 0: it is live; 1: it is not, and the line that is \
            printed says why: the file is missing or too old, or the worker has neither heard of the broker nor consumed for \
            its grace. With several files, all must be live.
            """
    )

    @Argument(help: "The health files.")
    var files: [String]

    @Option(help: ArgumentHelp("How old a file may be.", valueName: "duration"))
    var maxAge = DurationArgument(.seconds(30))

    /// A command whose options are yet to be parsed.
    public init() {}

    /// Judges the files.
    public func run() throws {
        let verdicts = files.map { path in
            HealthVerdict(
                of: try? Data(contentsOf: URL(filePath: path)),
                at: path,
                now: Date(),
                maximumAge: maxAge.duration
            )
        }
        for verdict in verdicts { Output.line(verdict.line) }
        guard verdicts.allSatisfy(\.isLive) else { throw ExitCode.failure }
    }
}
