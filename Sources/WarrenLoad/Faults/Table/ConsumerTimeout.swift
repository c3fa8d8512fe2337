/// A job that takes longer than the broker lets a consumer keep a message.
struct ConsumerTimeout: Fault {
    let name = "consumer-timeout"
    let summary = "consumer timeout while slow jobs run"

    /// The slow jobs are slow at their first delivery only, or they would time out for ever.
    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        var load = JobLoad.standard(context) { number in
            FaultJob(milliseconds: 20, firstMilliseconds: number % 100 == 1 ? 7_000 : nil)
        }
        load.jobs = context.size(short: 500, long: 20_000)
        try await broker.ctl("eval", Self.settings(timeout: "2000", tick: "500"))
        let setup = Experiment.Setup(broker: try await broker.url(), load: load)
        let report: Result<FaultReport, any Error>
        do {
            let made = try await Experiment.run(name, context, setup) { experiment in
                try await Task.sleep(for: .seconds(8))
                experiment.mark()
                try await experiment.waitForJobs(context.size(short: 100, long: 2_000))
            }
            report = .success(made)
        } catch {
            report = .failure(error)
        }
        try await broker.ctl("eval", Self.settings(timeout: "1800000", tick: "60000"))
        return try report.get()
    }

    private static func settings(timeout: String, tick: String) -> String {
        "application:set_env(rabbit, consumer_timeout, \(timeout)), application:set_env(rabbit, channel_tick_interval, \(tick))."
    }
}
