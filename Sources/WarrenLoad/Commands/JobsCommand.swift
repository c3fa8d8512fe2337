import ArgumentParser

/// `warren-load jobs`: the framework compared with C that publishes and consumes.
struct JobsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "Compares typed jobs with plain C that publishes and consumes.",
        discussion: """
            enqueue  Typed jobs to a quorum queue, each confirmed to its caller, with 100 concurrent callers; \
            compared with C's publish, and with publish-100, which has no more than 100 unconfirmed either.
            execute  Typed no-op jobs from a quorum queue, run by one worker process with a concurrency of 100 and a \
            prefetch of 200, each acknowledged after its handler returned; compared with C that consumes and \
            acknowledges each message.
            latency  At 100 jobs a second, from the call of enqueue to the start of the handler; compared with C's \
            publish to delivery.
            start    From the start of a worker process to the completion of a waiting job.

            rate     jobs per second
            CPU      user and system time of the measuring process per job, in microseconds
            noise    the difference between the best and the worst repetition, in percent of the median
            ratio    Warren's median divided by C's. Goals: enqueue at least 0.8 of publish-100's rate with at most \
            twice publish's CPU, execute at least 0.95 of consume's rate with at most twice its CPU, the median \
            latency at most 1.2 of C's and its 99th percentile at most 1.3, start at most 0.3 s.
            """
    )

    @OptionGroup var options: LoadOptions

    func run() throws {
        try ComparisonSeries(options).run([
            Comparison(.c(.publish), .c(.publishHundred), .warren(.enqueue)),
            Comparison(.c(.consume), .warren(.execute)),
            Comparison(.c(.latency), .warren(.latency)),
            Comparison(.warren(.start)),
        ])
    }
}
