import ArgumentParser

/// `warren-load embedded`: the framework on a broker in the same process.
struct EmbeddedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embedded",
        abstract: "Measures typed jobs on the embedded broker, which needs no RabbitMQ.",
        discussion: """
            enqueue  Typed jobs to a quorum queue, each confirmed to its caller, with 100 concurrent callers.
            execute  Typed no-op jobs from that queue, run by one worker with a concurrency of 100 and a prefetch of \
            200.

            rate     jobs per second
            CPU      user and system time of the process, broker included, per job, in microseconds.
            Required: execute at least 100,000/s.
            """
    )

    @Option(help: "The number of jobs in each measurement.")
    var count = 300_000

    @Option(help: "The number of times each measurement is repeated.")
    var repetitions = 3

    @Flag(help: "Print a line of JSON for each measurement instead of a table.")
    var json = false

    func run() throws {
        var options = LoadOptions()
        options.url = "memory://"
        options.count = count
        options.repetitions = repetitions
        options.json = json
        options.only = []
        try ComparisonSeries(options).run([Comparison(.warren(.enqueue)), Comparison(.warren(.execute))])
    }
}
