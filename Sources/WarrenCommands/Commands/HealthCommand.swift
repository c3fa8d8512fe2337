public import ArgumentParser
import Foundation
import Warren

/// `health`: says whether the workers of health files are live, for probes that run a command.
public struct HealthCommand: ParsableCommand {
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

/// What a health file says about its worker.
struct HealthVerdict: Sendable, Hashable {
    var isLive: Bool
    /// The reason, in one line.
    var line: String

    /// Judges a health file's content.
    ///
    /// - Parameter data: The content; `nil` if there is no such file.
    /// - Parameter maximumAge: A file that is older was left by a worker that hangs or is gone.
    init(of data: Data?, at path: String, now: Date, maximumAge: Duration) {
        isLive = false
        guard let data else {
            line = "\(path): there is no such file: the worker has not started, or has ended."
            return
        }
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        guard let health = try? decoder.decode(WorkerHealth.self, from: data) else {
            line = "\(path): this is no health file."
            return
        }
        let age = now.timeIntervalSince(health.at)
        guard age <= maximumAge / .seconds(1) else {
            line = "\(path): the file is \(Int(age)) s old: the worker hangs, or has ended without removing it."
            return
        }
        isLive = health.isLive
        let summary = health.problems.isEmpty ? "The worker takes jobs." : health.problems.joined(separator: " ")
        line = "\(path): \(health.worker) is \(health.isLive ? "live" : "not live"). \(summary)"
    }
}
