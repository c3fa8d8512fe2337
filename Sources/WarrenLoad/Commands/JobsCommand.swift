import ArgumentParser

/// `warren-load jobs`: the framework beside C consuming and publishing.
struct JobsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "Measures typed jobs beside plain C that publishes and consumes.",
        discussion: """
            enqueue  Typed jobs to a quorum queue, each confirmed to its caller, 100 callers at a time; beside C's publish.
            execute  Typed no-op jobs that wait in a quorum queue, run by one worker process with 100 at a time and 200 prefetched, each \
            acknowledged after its handler returned; beside C that consumes and acknowledges each message.
            latency  100 jobs a second: from the call of enqueue to the start of the handler; beside C's publish to delivery.
            start    From the start of a worker process to its first job done, a job waiting.

            rate     jobs per second
            CPU      user and system time of the measuring process per job, in microseconds
            ratio    Warren's figure over C's, of the medians. Owed: CPU at most 20 for enqueue and execute, execute at least \
            33,000/s, the median latency at most 1.5 of C's and its 99th percentile at most 3, start at most 0.3 s.
            """
    )

    @OptionGroup var options: LoadOptions

    func run() throws {
        try Series(options).run([
            Contest(.c(.publish), .warren(.enqueue)),
            Contest(.c(.consume), .warren(.execute)),
            Contest(.c(.latency), .warren(.latency)),
            Contest(.warren(.start)),
        ])
    }
}
