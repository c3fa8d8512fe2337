import AMQP
import Foundation
import RabbitMQ
import Warren

/// Two deployments in quick succession: the jobs that workers requeued must run as fast as any.
struct RestartThroughput: Fault {
    /// The kind of the job queue: a classic one only says that a message was delivered before.
    let kind: QueueKind
    /// The least part of the rate before the restarts that must be there after them.
    private let leastRate = 0.9

    var name: String { "restart-rate-\(kind.rawValue)" }
    var summary: String { "SIGTERM of all workers twice, jobs requeued each time, \(kind.rawValue) queue: the rate" }

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let period = context.size(short: Duration.seconds(4), long: .seconds(60))
        // More than the workers' slots can do, so that they are always busy, and the rate is that of the slots.
        let load = JobLoad(jobs: context.size(short: 5_000, long: 60_000), perSecond: 2_000) { _ in
            FaultJob(milliseconds: 250)
        }
        var setup = Experiment.Setup(broker: try await broker.url(), load: load)
        setup.kind = kind
        return try await Experiment.run(name, context, setup) { experiment in
            try await experiment.waitForJobs(200)
            let before = try await experiment.rate(over: period)
            for _ in 0..<2 {
                for worker in 0..<setup.workers {
                    try await experiment.pool.terminate(worker)
                    try experiment.pool.restart(worker)
                }
            }
            experiment.mark()
            try await experiment.waitUntilConsumed([experiment.queue], by: setup.workers, within: .seconds(30))
            let after = try await experiment.rate(over: period)
            experiment.figure("per_s_before", before)
            experiment.figure("per_s_after", after)
            experiment.require(
                after >= leastRate * before,
                "\(FaultReport.number(after)) jobs/s after the restarts, \(FaultReport.number(before)) before"
            )
        } verify: { experiment, ledger in
            experiment.require(ledger.duplicated == 0, "\(ledger.duplicated) duplicates, but none are allowed")
        }
    }
}

/// A user that may not publish to the dead exchange: a job that fails for good must not run again for that.
struct DeadExchangeForbidden: Fault {
    let name = "dead-forbidden"
    let summary = "workers may not publish to the dead exchange, one job in 100 fails for good, then they may"

    private let user = "faults-limited"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let failing = context.size(short: 5, long: 20)
        let load = JobLoad.standard(context) { number in
            FaultJob(milliseconds: 20, fails: number % 100 == 0 && number <= 100 * failing)
        }
        let url = try await broker.url()
        try await broker.ctl(["add_user", user, user])
        try await permit(writing: "^(?!.*\\.dead$).*", on: broker)
        var setup = Experiment.Setup(broker: url, load: load)
        setup.workerURL = try Self.url(url, as: user)
        let report = try await Experiment.run(name, context, setup) { experiment in
            let stuck = "\(setup.workers) workers hold a failed job"
            try await waitUntil(stuck, within: .seconds(60)) {
                let begun = experiment.ledger.with { $0.begun.values.reduce(into: Set()) { $0.formUnion($1) } }
                return (1...failing).count { begun.contains("job-\($0 * 100)") } >= setup.workers
            }
            // Long enough for a job that returned to its queue to run again many times.
            try await Task.sleep(for: .seconds(5))
            try await permit(writing: ".*", on: broker)
            experiment.mark()
            try await waitUntil("the failed jobs are dead", within: .seconds(60)) {
                let dead = try? await experiment.observer.status(ofQueue: experiment.queue.dead)
                return (dead?.messageCount ?? 0) >= failing
            }
        } verify: { experiment, ledger in
            let expected = Dictionary(uniqueKeysWithValues: (1...failing).map { ("job-\($0 * 100)", "permanent") })
            experiment.require(ledger.dead == expected, "the dead jobs are \(ledger.dead), but should be \(expected)")
            experiment.require(ledger.redelivered() == 0, "\(ledger.redelivered()) jobs ran again")
            experiment.require(ledger.duplicated == 0, "\(ledger.duplicated) duplicates, but none are allowed")
        }
        try await broker.ctl(["delete_user", user])
        return report
    }

    private func permit(writing pattern: String, on broker: FaultBroker) async throws {
        try await broker.ctl(["set_permissions", "-p", "/", user, ".*", pattern, ".*"])
    }

    private static func url(_ url: String, as user: String) throws -> String {
        guard var parts = URLComponents(string: url) else { throw LoadError("'\(url)' isn't a URL.") }
        parts.user = user
        parts.password = user
        guard let text = parts.string else { throw LoadError("'\(url)' can't be changed.") }
        return text
    }
}
