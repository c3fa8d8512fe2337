public import ArgumentParser
import Foundation
import Warren

/// `health`: reports whether the workers that write the given health files are live, for probes that run a command.
public struct HealthCommand: ParsableCommand {
    /// The command's name and help.
    public static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Report whether a worker is live, from its health file.",
        discussion: """
            'worker --health-file PATH' writes the file. The command prints a line for each file. It exits with 0 if the \
            worker is live, and with 1 if not: the file is missing or too old, or for longer than a grace period the worker \
            has not heard from the broker or has not consumed its queues. With several files, all workers must be live.
            """
    )

    @Argument(help: "The health files.")
    var files: [String]

    @Option(help: ArgumentHelp("The age above which a file counts as abandoned.", valueName: "duration"))
    var maxAge = DurationArgument(.seconds(30))

    /// Creates the command, for its parser.
    public init() {}

    /// Runs the command.
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

/// The state of a worker according to its health file.
struct HealthVerdict: Sendable, Hashable {
    var isLive: Bool
    /// The state and its reason, in one line.
    var line: String

    /// Judges the content of a health file.
    ///
    /// - Parameter data: The content; `nil` if there is no such file.
    /// - Parameter path: The file's path, for the line.
    /// - Parameter now: The current time.
    /// - Parameter maximumAge: An older file was left behind by a worker that hangs or is gone.
    init(of data: Data?, at path: String, now: Date, maximumAge: Duration) {
        isLive = false
        guard let data else {
            line = "\(path): There is no such file: the worker has not started, or has ended."
            return
        }
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        guard let health = try? decoder.decode(WorkerHealth.self, from: data) else {
            line = "\(path): This is not a health file."
            return
        }
        let age = now.timeIntervalSince(health.at)
        guard age <= maximumAge / .seconds(1) else {
            line = "\(path): The file is \(Int(age)) s old: the worker hangs, or ended without removing it."
            return
        }
        isLive = health.isLive
        let summary = health.problems.isEmpty ? "The worker takes jobs." : health.problems.joined(separator: " ")
        line = "\(path): \(health.worker) is \(health.isLive ? "live" : "not live"). \(summary)"
    }
}
