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
