import ArgumentParser

/// When the `worker` command replaces a process that still works.
struct RecyclingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "End a process in order after it dealt with about so many deliveries; with --processes a new one follows.",
            valueName: "count"
        )
    )
    var recycleAfterJobs: Int?

    @Option(
        help: ArgumentHelp(
            "End a process in order when it has about so much resident memory, such as 512MiB (Linux).",
            discussion: "Each process picks a limit up to a tenth lower, so that not all are replaced at once.",
            valueName: "size"
        )
    )
    var recycleAtMemory: ByteCountArgument?

    func validate() throws {
        if let count = recycleAfterJobs, count < 1 {
            throw ValidationError("--recycle-after-jobs must be 1 or more.")
        }
        if recycleAtMemory != nil, ResidentMemory.current() == nil {
            throw ValidationError("--recycle-at-memory needs /proc, which this system doesn't have.")
        }
    }

    /// The limits, somewhat random.
    func policy(using generator: inout some RandomNumberGenerator) -> RecyclingPolicy {
        let factor = Double.random(in: 0.9...1, using: &generator)
        return RecyclingPolicy(
            jobs: recycleAfterJobs.map { max(1, Int((Double($0) * factor).rounded())) },
            memory: recycleAtMemory.map { max(1, Int(Double($0.bytes) * factor)) }
        )
    }
}
