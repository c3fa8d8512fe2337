import AMQP
import Foundation
import Logging
import RabbitMQ
import Synchronization
import Warren

/// One experiment: a separate application with one queue or several, worker processes, callers that enqueue, and a
/// ledger of all jobs.
final class Experiment: Sendable {
    /// The setup of an experiment.
    struct Setup: Sendable {
        /// The broker's URL, for the observer.
        var broker: String
        /// The URLs for workers and callers, separated by commas, if they differ from the observer's.
        var url: String?
        /// The workers' URL, if it differs from the callers'.
        var workerURL: String?
        var load: JobLoad
        /// The number of queues, to which the load goes in turn.
        var queues = 1
        /// The kind of these queues.
        var kind = QueueKind.quorum
        /// Another queue that the workers consume, to which only the script enqueues.
        var otherQueue: QueueName?
        var workers = 3
        /// The number of jobs that a worker runs at a time, for each queue.
        var concurrency = 16
        /// True if workers may end by themselves.
        var mayCrash = false
    }

    private struct State: Sendable {
        var marks: [Ledger.Mark] = []
        var figures: [(name: String, value: Double)] = []
        var notes: [String] = []
        var broken: [String] = []
    }

    private let name: String
    private let context: FaultContext
    let setup: Setup
    let topology: Topology
    /// The queues to which the load goes.
    let queues: [QueueName]
    /// A client that only faults of the broker itself affect.
    let observer: RabbitMQClient
    private let client: RabbitMQClient
    let jobs: JobClient
    let pool: WorkerPool
    let ledger: SharedLedger
    let enqueuer: FaultEnqueuer
    private let state = Mutex(State())

    private init(_ name: String, _ context: FaultContext, _ setup: Setup) throws {
        self.name = name
        self.context = context
        self.setup = setup
        let url = setup.url ?? setup.broker
        queues = (1...setup.queues).map { QueueName("faults-\(name)" + ($0 == 1 ? "" : "-\($0)")) }
        topology = Topology(
            application: "faults-\(name)",
            queues: queues.map { QueueConfiguration($0, kind: setup.kind) }
        )
        let logger = Logger(label: "faults") { _ in SwiftLogNoOpLogHandler() }
        observer = try RabbitMQClient(url: setup.broker, connectionName: "observer of \(name)", logger: logger)
        client = try RabbitMQClient(url: url, connectionName: "caller of \(name)", logger: logger)
        jobs = JobClient(client, topology: topology, logger: logger)
        ledger = SharedLedger(folder: context.folder)
        pool = WorkerPool(
            WorkerConfiguration(
                url: setup.workerURL ?? url,
                application: topology.application,
                queues: (queues + [setup.otherQueue].compactMap(\.self)).map(\.rawValue),
                kind: setup.kind,
                folder: context.folder,
                concurrency: setup.concurrency
            )
        )
        enqueuer = FaultEnqueuer(jobs, queues: queues, load: setup.load, ledger: ledger)
    }

    /// The first of the queues.
    var queue: QueueName { queues[0] }
    /// The queues that the workers consume.
    private var consumedQueues: [QueueName] { queues + [setup.otherQueue].compactMap(\.self) }

    // MARK: Called by a script

    /// Records that a fault ended now.
    ///
    /// - Parameter countsNewJobsOnly: Whether recovery requires a job enqueued after the fault, and not only a worker
    ///   that works again.
    func mark(countsNewJobsOnly: Bool = false) { mark(at: WallClock.now, countsNewJobsOnly: countsNewJobsOnly) }

    func mark(at time: Int64, countsNewJobsOnly: Bool = false) {
        state.withLock { $0.marks.append(Ledger.Mark(time: time, countsNewJobsOnly: countsNewJobsOnly)) }
    }

    func figure(_ name: String, _ value: Double) { state.withLock { $0.figures.append((name, value)) } }
    func note(_ text: String) { state.withLock { $0.notes.append(text) } }
    func fail(_ text: String) { state.withLock { $0.broken.append(text) } }

    /// Records a failure with this text unless a requirement is met.
    func require(_ isMet: Bool, _ text: @autoclosure () -> String) { if !isMet { fail(text()) } }

    var marks: [Ledger.Mark] { state.withLock { $0.marks } }
    var findings: (figures: [(name: String, value: Double)], notes: [String], broken: [String]) {
        state.withLock { ($0.figures, $0.notes, $0.broken) }
    }

    /// The number of different jobs done.
    var completed: Int { ledger.with { $0.completed } }

    /// Waits until `count` more jobs are done than now.
    func waitForJobs(_ count: Int, within limit: Duration = .seconds(60)) async throws {
        let goal = completed + count
        try await waitUntil("\(count) more jobs are done", within: limit) { self.completed >= goal }
    }

    /// Waits until each of these queues has a consumer in every one of `workers` workers.
    func waitUntilConsumed(_ queues: [QueueName], by workers: Int, within limit: Duration) async throws {
        for queue in queues {
            try await waitUntil("\(workers) workers consume '\(queue)'", within: limit) {
                try await observer.status(ofQueue: queue.rawValue).consumerCount == workers
            }
        }
    }

    /// The number of jobs per second that are done in a period from now on.
    func rate(over period: Duration) async throws -> Double {
        let start = WallClock.now
        try await Task.sleep(for: period)
        let end = WallClock.now
        try ledger.readEventLogs()
        return ledger.with { $0.rate(from: start, to: end) }
    }

    // MARK: Running

    /// Runs an experiment: `script` injects the faults while workers run and jobs are enqueued; then all jobs are
    /// counted and `verify` checks the ledger.
    static func run(
        _ name: String,
        _ context: FaultContext,
        _ setup: Setup,
        script: (Experiment) async throws -> Void,
        verify: (Experiment, Ledger) -> Void = { _, _ in }
    ) async throws -> FaultReport {
        let experiment = try Experiment(name, context, setup)
        let result: Result<FaultReport, any Error>
        do {
            result = .success(try await experiment.perform(script, verify))
        } catch {
            experiment.pool.killAll()
            result = .failure(error)
        }
        await experiment.client.close()
        await experiment.observer.close()
        return try result.get()
    }

    private func perform(
        _ script: (Experiment) async throws -> Void,
        _ verify: (Experiment, Ledger) -> Void
    ) async throws -> FaultReport {
        let plan = topology.plan(for: consumedQueues, delays: false, broker: try await observer.broker().version)
        _ = try await plan.apply(to: observer)
        for _ in 0..<setup.workers { try pool.start() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.followEventLogs() }
            group.addTask { try await self.pool.restartCrashed() }
            try await waitUntilConsumed(consumedQueues, by: setup.workers, within: .seconds(30))
            group.addTask { await self.enqueuer.run() }
            do {
                try await script(self)
            } catch {
                try Task.checkCancellation()
                fail("\(error)")
            }
            try await continueUntilAllWorkersWork()
            enqueuer.finish()
            try await settle()
            group.cancelAll()
            while await group.nextResult() != nil {}
        }
        if let peakMemory = pool.peakMemory { figure("worker_peak_mib", peakMemory) }
        try await pool.terminateAll()
        try ledger.readEventLogs()
        try await recordLeftovers()
        let finalLedger = ledger.with { $0 }
        verify(self, finalLedger)
        let report = report(finalLedger)
        try await deleteTopology()
        return report
    }

    private func followEventLogs() async throws {
        while true {
            try ledger.readEventLogs()
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Continues until every worker has completed a job since the last fault ended, to detect workers that only seem to
    /// be alive.
    private func continueUntilAllWorkersWork() async throws {
        guard let last = marks.last, setup.workers > 0 else { return }
        var idle: [String] = []
        try? await waitUntil("every worker works", within: .seconds(20)) {
            let works = ledger.with { $0.firstCompletions(after: last) }
            idle = pool.names.filter { works[$0] == nil }
            return idle.isEmpty
        }
        try Task.checkCancellation()
        require(idle.isEmpty, "workers idle 20 s after the fault: \(idle.joined(separator: ", "))")
        let times = ledger.with { $0.firstCompletions(after: last) }.filter { pool.names.contains($0.key) }
        if let slowest = times.values.max() { figure("slowest_worker_s", slowest) }
    }

    /// Waits until all jobs are enqueued and each is done or dead.
    private func settle() async throws {
        do {
            try await waitUntil("all jobs are enqueued", within: .seconds(120)) { enqueuer.isFinished }
        } catch {
            try Task.checkCancellation()
            fail("\(error) The last error: \(enqueuer.failures.last)")
        }
        try? await waitUntil("all jobs are settled", within: context.size(short: .seconds(30), long: .seconds(120))) {
            let open = ledger.with { ledger in ledger.open.subtracting(ledger.waived).count }
            if open == 0 { return true }
            return await deadCount.map { $0 >= open } ?? false
        }
        try Task.checkCancellation()
    }

    /// The number of dead jobs; `nil` if the broker doesn't answer.
    private var deadCount: Int? {
        get async {
            var count = 0
            for queue in consumedQueues {
                guard let status = try? await observer.status(ofQueue: queue.dead) else { return nil }
                count += status.messageCount
            }
            return count
        }
    }

    /// Moves the messages left in the queues into the ledger.
    private func recordLeftovers() async throws {
        for queue in consumedQueues {
            for name in [queue.rawValue, queue.parked] {
                try await drain(name, of: queue) { id, _, ledger in ledger.recordQueued(id) }
            }
            try await drain(queue.dead, of: queue) { id, letter, ledger in
                ledger.recordDead(id, reason: letter.record.reason?.rawValue ?? Self.deathReason(letter.message))
            }
        }
    }

    private func drain(
        _ name: String,
        of queue: QueueName,
        _ body: @escaping @Sendable (String, DeadLetter, inout Ledger) -> Void
    ) async throws {
        while let delivery = try await observer.get(queue: name) {
            let letter = DeadLetter(delivery.message, of: queue)
            let properties = delivery.message.properties
            let id = properties.headers?[FaultWorkerCommand.idHeader]?.stringValue ?? letter.id ?? properties.messageID
            ledger.with { body(id ?? "nameless", letter, &$0) }
            delivery.ack()
        }
    }

    /// The reason for which the broker itself dead-lettered a message.
    private static func deathReason(_ message: Message) -> String {
        let death = message.properties.headers?["x-death"]?.arrayValue?.first?.tableValue
        return death?["reason"]?.stringValue.map { "broker: \($0)" } ?? "none"
    }

    private func deleteTopology() async throws {
        for queue in consumedQueues {
            for name in [queue.rawValue, queue.dead, queue.parked] { try await observer.deleteQueue(name) }
        }
        for name in [topology.exchange, topology.deadExchange] { try await observer.deleteExchange(name) }
    }

    // MARK: Reporting

    /// The report of a finished experiment.
    private func report(_ ledger: Ledger) -> FaultReport {
        let balance = ledger.balance
        let recoveries = marks.map { ledger.recovery(after: $0) }
        require(
            balance.lost == 0,
            "lost: \(ledger.missing.subtracting(ledger.waived).sorted().prefix(5).joined(separator: ", "))"
        )
        require(!recoveries.contains(nil), "no job was done after the fault")
        require(setup.mayCrash || pool.crashes == 0, "\(pool.crashes) workers ended by themselves")
        require(pool.badExits == 0, "\(pool.badExits) workers exited with an error after SIGTERM")
        if enqueuer.worstLateness > 0 { figure("late_ms", enqueuer.worstLateness) }
        require(
            enqueuer.worstLateness <= context.latenessLimit,
            "an enqueue returned \(FaultReport.number(enqueuer.worstLateness)) ms after its deadline"
        )
        let failures = enqueuer.failures.counts
        if !failures.isEmpty {
            note(
                "failed enqueues: "
                    + failures.sorted { $0.key < $1.key }.map { "\($1) \($0)" }.joined(separator: ", ")
            )
        }
        let findings = findings
        return FaultReport(
            fault: name,
            balance: balance,
            recovered: recoveries.compactMap(\.self).max(),
            figures: findings.figures,
            notes: findings.notes,
            broken: findings.broken
        )
    }
}

/// The number of an experiment's jobs, and their rate.
struct JobLoad: Sendable {
    /// The least number of jobs enqueued; up to ten times as many while the fault lasts.
    var jobs: Int
    /// The rate in jobs per second.
    var perSecond: Double
    /// The job of each number.
    var job: @Sendable (_ number: Int) -> FaultJob = { _ in FaultJob(milliseconds: 20) }
    /// The time limit of each `enqueue`.
    var timeout: Duration = .seconds(10)

    /// The usual load of the long or the short form.
    static func standard(
        _ context: FaultContext,
        job: @escaping @Sendable (_ number: Int) -> FaultJob = { _ in FaultJob(milliseconds: 20) }
    ) -> JobLoad {
        context.isShort
            ? JobLoad(jobs: 500, perSecond: 200, job: job) : JobLoad(jobs: 20_000, perSecond: 1000, job: job)
    }
}

/// Polls `condition` some fifty times a second until it is true.
///
/// - Throws: ``LoadError`` with `description` if that takes longer than `limit`.
func waitUntil(_ description: String, within limit: Duration, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else { throw LoadError("Not seen within \(limit): \(description).") }
        try await Task.sleep(for: .milliseconds(20))
    }
}
