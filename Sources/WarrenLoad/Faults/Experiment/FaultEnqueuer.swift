import AMQP
import Foundation
import Synchronization
import Warren

/// Enqueues an experiment's jobs at a steady rate, 100 at a time, and records the outcomes reported to the caller in
/// the ledger.
final class FaultEnqueuer: Sendable {
    private struct State: Sendable {
        var taken = 0
        var inFlight = 0
        var nextDue = ContinuousClock.now
        var isPaused = false
        var isFinishing = false
        var callers = Load.callers
        var worstLateness = Duration.zero
        var failures: [String: Int] = [:]
        var lastError = ""
    }

    private let jobs: JobClient
    private let queues: [QueueName]
    private let load: JobLoad
    private let ledger: SharedLedger
    private let state = Mutex(State())

    init(_ jobs: JobClient, queues: [QueueName], load: JobLoad, ledger: SharedLedger) {
        self.jobs = jobs
        self.queues = queues
        self.load = load
        self.ledger = ledger
    }

    // MARK: Called by the experiment

    /// Starts no further enqueue until ``resume()``, and returns when none is in flight.
    func pause() async throws {
        state.withLock { $0.isPaused = true }
        try await waitUntil("enqueues end", within: .seconds(60)) { self.state.withLock { $0.inFlight } == 0 }
    }

    func resume() { state.withLock { $0.isPaused = false } }

    /// Stops once the load's jobs are enqueued.
    func finish() {
        state.withLock { state in
            state.isPaused = false
            state.isFinishing = true
        }
    }

    // MARK: Results

    var isFinished: Bool { state.withLock { $0.callers == 0 } }
    /// The number of jobs started.
    var taken: Int { state.withLock { $0.taken } }
    /// The time by which the slowest `enqueue` overran its deadline, in milliseconds.
    var worstLateness: Double { state.withLock { $0.worstLateness } / .milliseconds(1) }
    /// The number of failed enqueues by the error's code, and the last error.
    var failures: (counts: [String: Int], last: String) { state.withLock { ($0.failures, $0.lastError) } }

    // MARK: Enqueueing

    func run() async {
        await withDiscardingTaskGroup { group in
            for _ in 0..<Load.callers {
                group.addTask {
                    while let number = await self.take() {
                        await self.enqueue(number)
                        self.state.withLock { $0.inFlight -= 1 }
                    }
                    self.state.withLock { $0.callers -= 1 }
                }
            }
        }
    }

    /// Waits until the next job is due and returns its number; `nil` if there are no more.
    private func take() async -> Int? {
        while !Task.isCancelled {
            let next: (number: Int, due: ContinuousClock.Instant)?? = state.withLock { state in
                let isOver = state.isFinishing ? state.taken >= load.jobs : state.taken >= 10 * load.jobs
                if isOver && state.isFinishing { return .some(nil) }
                if isOver || state.isPaused { return nil }
                state.nextDue = max(.now, state.nextDue) + .seconds(1) / load.perSecond
                state.taken += 1
                state.inFlight += 1
                return (state.taken, state.nextDue)
            }
            switch next {
            case .some(.some(let next)):
                try? await Task.sleep(until: next.due, tolerance: .zero)
                return next.number
            case .some(.none): return nil
            case .none: try? await Task.sleep(for: .milliseconds(10))
            }
        }
        return nil
    }

    /// Enqueues one job, and repeats it under the same id while the broker certainly hasn't accepted it.
    ///
    /// A job whose outcome is unknown is not repeated; another takes its place.
    private func enqueue(_ number: Int) async {
        let job = load.job(number)
        let queue = queues[number % queues.count]
        var copies = 0
        while !Task.isCancelled {
            let id = "job-\(number)" + (copies == 0 ? "" : ".\(copies)")
            let began = WallClock.now
            let start = ContinuousClock.now
            do {
                defer { noteLateness(since: start) }
                try await jobs.enqueue(job, queue: queue, id: id, timeout: load.timeout)
                return ledger.with { $0.recordConfirmed(id, begunAt: began) }
            } catch {
                note(error)
                guard (error as? WarrenError)?.outcomeIsKnown ?? true else {
                    ledger.with { $0.recordDoubtful(id) }
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
