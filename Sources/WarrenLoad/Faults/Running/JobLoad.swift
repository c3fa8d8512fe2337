/// How many jobs an experiment has, and how fast they come.
struct JobLoad: Sendable {
    /// How many jobs are enqueued at least; more while the fault lasts, up to ten times as many.
    var jobs: Int
    /// How many a second.
    var perSecond: Double
    /// How long each takes, by its number.
    var job: @Sendable (_ number: Int) -> FaultJob = { _ in FaultJob(milliseconds: 20) }
    /// How long an `enqueue` may take.
    var timeout: Duration = .seconds(10)

    /// The load of the long form and that of the short one.
    static func standard(
        _ context: FaultContext,
        job: @escaping @Sendable (_ number: Int) -> FaultJob = { _ in FaultJob(milliseconds: 20) }
    ) -> JobLoad {
        context.isShort
            ? JobLoad(jobs: 500, perSecond: 200, job: job) : JobLoad(jobs: 20_000, perSecond: 1000, job: job)
    }
}
