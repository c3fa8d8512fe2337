import AMQP
import Foundation
import Logging
import RabbitMQ
import Synchronization
import Warren

/// One experiment: an application of its own with one queue, worker processes, a caller that enqueues, and the ledger of all jobs.
final class Experiment: Sendable {
    /// What an experiment is made of.
    struct Setup: Sendable {
        /// Where the broker is, for what only looks on.
        var broker: String
        /// Where it is for workers and callers, if that is something else; several with commas.
        var url: String?
        var load: JobLoad
        var workers = 3
        var concurrency = 16
        /// How many workers may end by themselves.
        var mayCrash = false
    }

    private struct State: Sendable {
        var marks: [Ledger.Mark] = []
        var figures: [(name: String, value: Double)] = []
        var notes: [String] = []
        var broken: [String] = []
    }

    let name: String
    let context: FaultContext
    let setup: Setup
    let topology: Topology
    let queue: QueueName
    /// A client that no fault stands in the way of, but those of the broker itself.
    let observer: RabbitMQClient
    let client: RabbitMQClient
    let jobs: JobClient
    let crew: WorkerCrew
    let book: LedgerBook
    let enqueuer: FaultEnqueuer
    private let state = Mutex(State())

    init(_ name: String, _ context: FaultContext, _ setup: Setup) {
        self.name = name
        self.context = context
        self.setup = setup
        let url = setup.url ?? setup.broker
        topology = Topology(application: "faults-\(name)")
        queue = QueueName("faults-\(name)")
        let logger = Logger(label: "faults") { _ in SwiftLogNoOpLogHandler() }
        observer = RabbitMQClient(url: setup.broker, connectionName: "observer of \(name)", logger: logger)
        client = RabbitMQClient(url: url, connectionName: "caller of \(name)", logger: logger)
        jobs = JobClient(client, topology: topology, logger: logger)
        book = LedgerBook(folder: context.folder)
        crew = WorkerCrew(
            WorkerOrder(
                url: url,
                application: topology.application,
                queue: queue.rawValue,
                folder: context.folder,
                concurrency: setup.concurrency
            )
        )
        enqueuer = FaultEnqueuer(jobs, queue: queue, load: setup.load, book: book)
    }

    // MARK: What a script tells

    /// A fault ended now.
    ///
    /// - Parameter countsNewJobsOnly: Whether the way from `enqueue` to the worker has to work again, not only the worker.
    func mark(countsNewJobsOnly: Bool = false) { mark(at: WallClock.now, countsNewJobsOnly: countsNewJobsOnly) }

    func mark(at time: Int64, countsNewJobsOnly: Bool = false) {
        state.withLock { $0.marks.append(Ledger.Mark(time: time, countsNewJobsOnly: countsNewJobsOnly)) }
    }

    func figure(_ name: String, _ value: Double) { state.withLock { $0.figures.append((name, value)) } }
    func note(_ text: String) { state.withLock { $0.notes.append(text) } }
    func broke(_ text: String) { state.withLock { $0.broken.append(text) } }

    /// Notes what is owed and isn't kept.
    func owe(_ isKept: Bool, _ text: @autoclosure () -> String) { if !isKept { broke(text()) } }

    var marks: [Ledger.Mark] { state.withLock { $0.marks } }
    var findings: (figures: [(name: String, value: Double)], notes: [String], broken: [String]) {
        state.withLock { ($0.figures, $0.notes, $0.broken) }
    }

    // MARK: What a script sees

    /// How many different jobs are done.
    var completed: Int { book.with { $0.completed } }

    /// Waits until so many more jobs are done than now.
    func waitForJobs(_ count: Int, within limit: Duration = .seconds(60)) async throws {
        let goal = completed + count
        try await Patience.wait("\(count) more jobs are done", within: limit) { self.completed >= goal }
    }
}

extension Experiment {
    /// Makes an experiment: `script` does the harm while workers run and jobs come; afterwards all is counted.
    static func run(
        _ name: String,
        _ context: FaultContext,
        _ setup: Setup,
        script: (Experiment) async throws -> Void,
        judge: (Experiment, Ledger) -> Void = { _, _ in }
    ) async throws -> FaultReport {
        let experiment = Experiment(name, context, setup)
        let result: Result<FaultReport, any Error>
        do {
            result = .success(try await experiment.conduct(script, judge))
        } catch {
            experiment.crew.killAll()
            result = .failure(error)
        }
        await experiment.client.close()
        await experiment.observer.close()
        return try result.get()
    }

    private func conduct(
        _ script: (Experiment) async throws -> Void,
        _ judge: (Experiment, Ledger) -> Void
    ) async throws -> FaultReport {
        let plan = topology.plan(for: [queue], delays: false, broker: try await observer.broker().version)
        _ = try await plan.apply(to: observer)
        for _ in 0..<setup.workers { try crew.hire() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.followJournals() }
            group.addTask { try await self.crew.replaceFallen() }
            try await Patience.wait("all workers consume '\(queue)'", within: .seconds(30)) {
                try await observer.status(ofQueue: queue.rawValue).consumerCount == setup.workers
            }
            group.addTask { await self.enqueuer.run() }
            do {
                try await script(self)
            } catch {
                try Task.checkCancellation()
                broke("\(error)")
            }
            try await goOnUntilAllWork()
            enqueuer.finish()
            try await settle()
            group.cancelAll()
            while await group.nextResult() != nil {}
        }
        await note(peakMemory: crew.peakMemory)
        try await crew.terminateAll()
        try book.readJournals()
        try await countWhatIsLeft()
        let ledger = book.with { $0 }
        judge(self, ledger)
        let report = report(ledger)
        try await cleanUp()
        return report
    }

    private func note(peakMemory: Double?) async {
        if let peakMemory { figure("worker_peak_mib", peakMemory) }
    }

    private func followJournals() async throws {
        while true {
            try book.readJournals()
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Lets jobs come until every worker has done one since the last fault ended: a worker that only seems to be alive must show.
    private func goOnUntilAllWork() async throws {
        guard let last = marks.last, setup.workers > 0 else { return }
        var idle: [String] = []
        try? await Patience.wait("every worker works", within: .seconds(20)) {
            let works = book.with { $0.firstCompletions(after: last) }
            idle = crew.names.filter { works[$0] == nil }
            return idle.isEmpty
        }
        try Task.checkCancellation()
        owe(idle.isEmpty, "idle 20 s after the fault: \(idle.joined(separator: ", "))")
        let times = book.with { $0.firstCompletions(after: last) }.filter { crew.names.contains($0.key) }
        if let slowest = times.values.max() { figure("slowest_worker_s", slowest) }
    }

    /// Waits until all jobs are enqueued, and each is done or dead.
    private func settle() async throws {
        do {
            try await Patience.wait("the caller gets all jobs enqueued", within: .seconds(120)) { enqueuer.isFinished }
        } catch {
            try Task.checkCancellation()
            broke("\(error) The last error: \(enqueuer.failures.last)")
        }
        try? await Patience.wait("all jobs are settled", within: context.size(short: .seconds(30), long: .seconds(120)))
        {
            let open = book.with { ledger in ledger.open.subtracting(ledger.waived).count }
            if open == 0 { return true }
            return (try? await observer.status(ofQueue: queue.dead).messageCount).map { $0 >= open } ?? false
        }
        try Task.checkCancellation()
    }

    /// Takes what is left out of the queues, into the ledger.
    private func countWhatIsLeft() async throws {
        for name in [queue.rawValue, queue.parked] {
            try await drain(name) { id, _, ledger in ledger.leave(id) }
        }
        try await drain(queue.dead) { id, letter, ledger in
            ledger.bury(id, reason: letter.record.reason?.rawValue ?? Self.brokersReason(letter.message))
        }
    }

    private func drain(
        _ name: String,
        _ body: @escaping @Sendable (String, DeadLetter, inout Ledger) -> Void
    ) async throws {
        while let delivery = try await observer.get(queue: name) {
            let letter = DeadLetter(delivery.message, of: queue)
            let properties = delivery.message.properties
            let id = properties.headers?[FaultWorkerCommand.idHeader]?.stringValue ?? letter.id ?? properties.messageID
            book.with { body(id ?? "nameless", letter, &$0) }
            delivery.ack()
        }
    }

    /// Why the broker moved a message to the dead queue by itself.
    private static func brokersReason(_ message: Message) -> String {
        let death = message.properties.headers?["x-death"]?.arrayValue?.first?.tableValue
        return death?["reason"]?.stringValue.map { "broker: \($0)" } ?? "none"
    }

    private func cleanUp() async throws {
        for name in [queue.rawValue, queue.dead, queue.parked] { try await observer.deleteQueue(name) }
        for name in [topology.exchange, topology.deadExchange] { try await observer.deleteExchange(name) }
    }
}

extension Experiment {
    /// The report of an experiment that is over.
    func report(_ ledger: Ledger) -> FaultReport {
        let balance = ledger.balance
        let recoveries = marks.map { ledger.recovery(after: $0) }
        owe(
            balance.lost == 0,
            "lost: \(ledger.missing.subtracting(ledger.waived).sorted().prefix(5).joined(separator: ", "))"
        )
        owe(!recoveries.contains(nil), "no job was done after the fault")
        owe(setup.mayCrash || crew.crashes == 0, "\(crew.crashes) workers ended by themselves")
        owe(crew.badEnds == 0, "\(crew.badEnds) workers ended with an error after SIGTERM")
        if enqueuer.worstLateness > 0 { figure("late_ms", enqueuer.worstLateness) }
        owe(
            enqueuer.worstLateness <= context.latenessLimit,
            "an enqueue came back \(FaultReport.number(enqueuer.worstLateness)) ms after its deadline"
        )
        let failures = enqueuer.failures.counts
        if !failures.isEmpty {
            note(
                "enqueues that failed: "
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

/// Waiting for what can only be looked at.
enum Patience {
    /// Waits until `condition` is true, looking some fifty times a second.
    ///
    /// - Throws: ``LoadError`` with what was waited for, when it takes longer than `limit`.
    static func wait(
        _ what: String,
        within limit: Duration,
        _ condition: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + limit
        while try await !condition() {
            guard ContinuousClock.now < end else { throw LoadError("Not seen within \(limit): \(what).") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
