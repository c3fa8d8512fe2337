import ArgumentParser
import Warren
import WarrenCommands

/// The `digest` program: one job per file of a folder, workers that compute SHA-256, and a check that nothing is
/// missing.
@main
struct Digest: WarrenApplication {
    static let configuration = CommandConfiguration(
        commandName: "digest",
        abstract: "Digest the files of a folder, one job each.",
        discussion: "An example of an application on Warren. 'compose/demo' runs all of it.",
        subcommands: commands(with: [EnqueueFolder.self, WaitForResults.self, VerifyResults.self])
    )

    static let jobs: [any Job.Type] = [DigestFile.self]

    struct WorkerOptions: ParsableArguments, Sendable {
        @Option(
            help: ArgumentHelp("The folder for the results, one file of JSON lines per worker.", valueName: "folder")
        )
        var results: String

        @Option(help: ArgumentHelp("A pause in each job that makes it last longer.", valueName: "duration"))
        var pace = DurationArgument(.zero)
    }

    static func handlers(_ setup: WorkerSetup<WorkerOptions>) async throws -> [JobRegistration] {
        let results = try ResultsFile(folder: setup.options.results, worker: setup.worker)
        let checksum = try await ChecksumProgram.installed()
        DigestHandler(results: results, checksum: checksum, pace: setup.options.pace.duration)
    }
}

/// The job: compute the SHA-256 of a file.
struct DigestFile: Job {
    static let name = "digest.file"
    static let queue: QueueName = "digest"
    /// Short enough to watch, and long enough to go through the broker's delay ladder.
    static let retry: RetryPolicy = .fixed(.seconds(1), attempts: 4)

    /// The file, by its absolute path, since workers run anywhere on the machine.
    var path: FilePath
    /// The number of first attempts that fail on purpose.
    var failures: Int?
}
