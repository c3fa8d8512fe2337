import ArgumentParser
import Warren
import WarrenCommands

/// The `digest` program: one job for each file of a folder, workers that compute SHA-256, and a check that nothing is missing.
@main
struct Digest: WarrenApplication {
    static let configuration = CommandConfiguration(
        commandName: "digest",
        abstract: "Digest the files of a folder, a job each.",
        discussion: "An example of an application on Warren. 'compose/demo' runs all of it.",
        subcommands: commands(with: [EnqueueFolder.self, WaitForResults.self, VerifyResults.self])
    )

    static let jobs: [any Job.Type] = [DigestFile.self]

    struct WorkerOptions: ParsableArguments, Sendable {
        @Option(
            help: ArgumentHelp("The folder for the results: a file of JSON lines for each worker.", valueName: "folder")
        )
        var results: String

        @Option(help: ArgumentHelp("How long to wait in each job, as if there were more to do.", valueName: "duration"))
        var pace = DurationArgument(.zero)
    }

    static func handlers(_ setup: WorkerSetup<WorkerOptions>) throws -> [JobRegistration] {
        let results = try ResultsFile(folder: setup.options.results, worker: setup.worker)
        DigestHandler(results: results, pace: setup.options.pace.duration)
    }
}
