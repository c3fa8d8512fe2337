import ArgumentParser

/// `warren-load embedded`: the framework on a broker in the same process.
struct EmbeddedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embedded",
        abstract: "Measures typed jobs on the embedded broker, which needs no RabbitMQ.",
        discussion: """
            enqueue  Typed jobs to a quorum queue, each confirmed to its caller, 100 callers at a time.
            execute  Typed no-op jobs that wait there, run by one worker with 100 at a time and 200 prefetched.

            rate     jobs per second
            CPU      user and system time of the process, broker included, per job, in microseconds. Owed: execute at least 100,000/s.
            """
    )

    @Option(help: "How many jobs each measurement takes.")
    var count = 300_000

    @Option(help: "How often each measurement is made.")
    var repetitions = 3

    @Flag(help: "Print a line of JSON for each measurement, and no table.")
    var json = false

    func run() throws {
        var options = LoadOptions()
        options.url = "memory://"
        options.count = count
        options.repetitions = repetitions
        options.json = json
        options.only = []
        try Series(options).run([Contest(.warren(.enqueue)), Contest(.warren(.execute))])
    }
}
