import AMQP
import Foundation
import Synchronization
import Warren

/// Enqueues an experiment's jobs at a steady pace, 100 at a time, and writes into the ledger what the caller was told.
final class FaultEnqueuer: Sendable {
    private struct State: Sendable {
        var taken = 0
        var underWay = 0
        var nextDue = ContinuousClock.now
        var isPaused = false
        var isEnough = false
        var callers = Load.callers
        var worstLateness = Duration.zero
        var failures: [String: Int] = [:]
        var lastError = ""
    }

    private let jobs: JobClient
    private let queue: QueueName
    private let load: JobLoad
    private let book: LedgerBook
    private let state = Mutex(State())

    init(_ jobs: JobClient, queue: QueueName, load: JobLoad, book: LedgerBook) {
        self.jobs = jobs
        self.queue = queue
        self.load = load
        self.book = book
    }

    // MARK: What it is told

    /// Begins no job until ``resume()``, and returns when none is under way.
    func pause() async throws {
        state.withLock { $0.isPaused = true }
        try await Patience.wait("enqueues end", within: .seconds(60)) { self.state.withLock { $0.underWay } == 0 }
    }

    func resume() { state.withLock { $0.isPaused = false } }

    /// Ends when the load's jobs are enqueued.
    func finish() {
        state.withLock { state in
            state.isPaused = false
            state.isEnough = true
        }
    }

    // MARK: What came of it

    var isFinished: Bool { state.withLock { $0.callers == 0 } }
    /// How many jobs were begun.
    var taken: Int { state.withLock { $0.taken } }
    /// How long after its deadline the slowest `enqueue` returned, in milliseconds.
    var worstLateness: Double { state.withLock { $0.worstLateness } / .milliseconds(1) }
    /// How often an `enqueue` failed, by the error's code, and the last error.
    var failures: (counts: [String: Int], last: String) { state.withLock { ($0.failures, $0.lastError) } }

    // MARK: Enqueueing

    func run() async {
        await withDiscardingTaskGroup { group in
            for _ in 0..<Load.callers {
                group.addTask {
                    while let number = await self.take() {
                        await self.enqueue(number)
                        self.state.withLock { $0.underWay -= 1 }
                    }
                    self.state.withLock { $0.callers -= 1 }
                }
            }
        }
    }

    /// The next job's number, when it is its turn; `nil` if there are no more.
    private func take() async -> Int? {
        while !Task.isCancelled {
            let turn: (number: Int, due: ContinuousClock.Instant)?? = state.withLock { state in
                let isOver = state.isEnough ? state.taken >= load.jobs : state.taken >= 10 * load.jobs
                if isOver && state.isEnough { return .some(nil) }
                if isOver || state.isPaused { return nil }
                state.nextDue = max(.now, state.nextDue) + .seconds(1) / load.perSecond
                state.taken += 1
                state.underWay += 1
                return (state.taken, state.nextDue)
            }
            switch turn {
            case .some(.some(let turn)):
                try? await Task.sleep(until: turn.due, tolerance: .zero)
                return turn.number
            case .some(.none): return nil
            case .none: try? await Task.sleep(for: .milliseconds(10))
            }
        }
        return nil
    }

    /// Enqueues one job, again and again under one id while it is certain that the broker didn't take it.
    ///
    /// One whose outcome is unknown is left alone, and another takes its place.
    private func enqueue(_ number: Int) async {
        let job = load.job(number)
        var copies = 0
        while !Task.isCancelled {
            let id = "job-\(number)" + (copies == 0 ? "" : ".\(copies)")
            let began = WallClock.now
            let start = ContinuousClock.now
            do {
                defer { noteLateness(since: start) }
                try await jobs.enqueue(job, queue: queue, id: id, timeout: load.timeout)
                return book.with { $0.confirm(id, begunAt: began) }
            } catch {
                note(error)
                guard (error as? WarrenError)?.outcomeIsKnown ?? true else {
                    book.with { $0.doubt(id) }
                    copies += 1
                    continue
                }
                try? await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    private func noteLateness(since start: ContinuousClock.Instant) {
        let lateness = ContinuousClock.now - start - load.timeout
        state.withLock { $0.worstLateness = max($0.worstLateness, lateness) }
    }

    private func note(_ error: any Error) {
        let code = (error as? WarrenError).map { "\($0.broker?.code.description ?? $0.code.description)" } ?? "other"
        state.withLock { state in
            state.failures[code, default: 0] += 1
            state.lastError = "\(error)"
        }
    }
}
