/// An alarm, in which the broker takes nothing from publishers.
struct Alarm: Fault {
    /// The broker is told that it has too little memory.
    static let memory = Alarm(
        name: "memory-alarm",
        summary: "memory alarm",
        raise: ["set_vm_memory_high_watermark", "0"],
        lift: ["set_vm_memory_high_watermark", "0.6"]
    )
    /// The broker is told that it has too little room on its disk.
    static let disk = Alarm(
        name: "disk-alarm",
        summary: "disk alarm",
        raise: ["set_disk_free_limit", "1000000GB"],
        lift: ["set_disk_free_limit", "50MB"]
    )

    let name: String
    let summary: String
    private let raise: [String]
    private let lift: [String]

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        var load = JobLoad.standard(context) { _ in FaultJob(milliseconds: 200) }
        load.perSecond = context.size(short: 150, long: 200)
        load.jobs = context.size(short: 400, long: 20_000)
        load.timeout = .seconds(1)
        return try await Experiment.run(name, context, .init(broker: try await broker.url(), load: load)) {
            experiment in
            try await experiment.waitForJobs(context.size(short: 100, long: 5_000))
            try await broker.ctl(raise)
            do {
                try await whileAlarmed(experiment, context)
            } catch {
                try await broker.ctl(lift)
                throw error
            }
            try await broker.ctl(lift)
            experiment.mark(countsNewJobsOnly: true)
        } judge: { experiment, ledger in
            experiment.owe(
                ledger.duplicated == 0,
                "\(ledger.duplicated) duplicates: acknowledgements didn't get through"
            )
            let blocked = experiment.enqueuer.failures.counts["blocked"] ?? 0
            experiment.owe(blocked > 0, "no enqueue said that the broker is blocked")
        }
    }

    /// What was enqueued before has to be done and acknowledged meanwhile.
    private func whileAlarmed(_ experiment: Experiment, _ context: FaultContext) async throws {
        let began = experiment.completed
        try await Patience.wait("what was enqueued before the alarm is done", within: .seconds(20)) {
            experiment.book.with { $0.open.isEmpty }
        }
        experiment.figure("done_in_alarm", Double(experiment.completed - began))
        try await Task.sleep(for: context.size(short: .seconds(3), long: .seconds(15)))
    }
}
