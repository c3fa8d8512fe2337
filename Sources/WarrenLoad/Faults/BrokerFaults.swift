import RabbitMQ
import Warren

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

/// `rabbitmqctl close_all_connections`.
struct ConnectionsClosed: Fault {
    let name = "connections-closed"
    let summary = "all connections closed by the broker's operator, several times"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let setup = Experiment.Setup(broker: try await broker.url(), load: .standard(context))
        return try await Experiment.run(name, context, setup) { experiment in
            for _ in 0..<context.size(short: 2, long: 10) {
                try await experiment.waitForJobs(context.size(short: 100, long: 1_500))
                try await broker.ctl("close_all_connections", "the experiment wants it")
                experiment.mark()
                try await experiment.waitForJobs(1)
            }
        }
    }
}

/// The queue deleted while workers consume it.
struct QueueDeleted: Fault {
    let name = "queue-deleted"
    let summary = "queue deleted under its consumers; what was in it is discarded"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let deletions = context.size(short: 2, long: 5)
        let setup = Experiment.Setup(
            broker: try await broker.url(),
            // More than the workers have slots for, so that there is something in the queue.
            load: .standard(context) { _ in FaultJob(milliseconds: context.size(short: 300, long: 60)) }
        )
        return try await Experiment.run(name, context, setup) { experiment in
            var inQueues = 0
            for _ in 0..<deletions {
                try await experiment.waitForJobs(context.size(short: 100, long: 2_000))
                try await experiment.enqueuer.pause()
                let inQueue = try await experiment.observer.deleteQueue(experiment.queue.rawValue)
                experiment.mark(countsNewJobsOnly: true)
                try experiment.book.readJournals()
                experiment.book.with { $0.waiveOpen() }
                inQueues += inQueue
                experiment.enqueuer.resume()
                try await experiment.waitForJobs(context.size(short: 100, long: 2_000), within: .seconds(20))
            }
            experiment.figure("in_queue", Double(inQueues))
        } judge: { experiment, ledger in
            let inQueues = Int(experiment.findings.figures.first { $0.name == "in_queue" }?.value ?? 0)
            // The broker tells of what was ready; a worker has up to twice its slots that are not.
            let held = deletions * experiment.setup.workers * 2 * experiment.setup.concurrency
            experiment.owe(
                ledger.balance.discarded <= inQueues + held,
                "\(ledger.balance.discarded) jobs are gone, and \(inQueues) were in the queue and at most \(held) with workers"
            )
        }
    }
}

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
