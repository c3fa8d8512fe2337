import Foundation
import Synchronization

/// The account of all jobs: those confirmed to callers of `enqueue`, and their outcomes.
///
/// Times are microseconds since 1970, which processes of one machine share.
struct Ledger: Sendable {
    /// The confirmed jobs, with the time at which their enqueue began.
    private(set) var confirmed: [String: Int64] = [:]
    /// Jobs whose enqueue failed with an unknown outcome: they may appear or not.
    private(set) var doubtful: Set<String> = []
    /// All completions, in the order in which they were read.
    private(set) var completions: [Completion] = []
    /// Jobs that a worker began and did not complete, by worker.
    private(set) var begun: [String: Set<String>] = [:]
    /// The dead jobs found at the end, with their reasons.
    private(set) var dead: [String: String] = [:]
    /// The jobs found in a queue at the end.
    private(set) var queued: Set<String> = []
    /// Jobs that may be missing because their queue was deleted.
    private(set) var waived: Set<String> = []
    /// The number of times that each job began after a redelivery.
    private(set) var redeliveries: [String: Int] = [:]
    private var timesCompleted: [String: Int] = [:]

    /// The completion of a job by a worker.
    struct Completion: Sendable, Hashable {
        var id: String
        var worker: String
        var time: Int64
    }

    // MARK: Recording

    /// Records a job that the broker confirmed and whose enqueue began at `begin`.
    mutating func recordConfirmed(_ id: String, begunAt begin: Int64) { confirmed[id] = begin }

    /// Records a job that the broker may have or not.
    mutating func recordDoubtful(_ id: String) { doubtful.insert(id) }

    /// Records an entry of a worker's event log.
    mutating func record(_ entry: EventLogEntry, by worker: String) {
        switch entry.event {
        case .begun, .begunAgain:
            begun[worker, default: []].insert(entry.id)
            if entry.event == .begunAgain { redeliveries[entry.id, default: 0] += 1 }
        case .done:
            begun[worker]?.remove(entry.id)
            completions.append(Completion(id: entry.id, worker: worker, time: entry.time))
            timesCompleted[entry.id, default: 0] += 1
        }
    }

    /// Records a job found in the dead queue.
    mutating func recordDead(_ id: String, reason: String) { dead[id] = reason }

    /// Records a job found in a queue at the end.
    mutating func recordQueued(_ id: String) { queued.insert(id) }

    /// Allows all jobs that aren't completed now to be missing: they were in a queue that its operator deleted.
    mutating func waiveOpen() { waived.formUnion(open) }

    // MARK: Evaluating

    /// The number of different jobs completed, confirmed or doubtful.
    var completed: Int { timesCompleted.count }

    /// The confirmed jobs that no worker has completed so far.
    var open: Set<String> { Set(confirmed.keys.lazy.filter { timesCompleted[$0] == nil }) }

    /// The number of completions beyond the first of each job.
    var duplicated: Int { timesCompleted.values.reduce(0) { $0 + $1 - 1 } }

    /// The confirmed jobs without a trace.
    var missing: Set<String> { open.filter { dead[$0] == nil && !queued.contains($0) } }

    /// The number of times that jobs began after a redelivery, of the jobs whose enqueue began at `time` or later.
    func redelivered(enqueuedSince time: Int64 = .min) -> Int {
        redeliveries.reduce(0) { $0 + ((confirmed[$1.key] ?? .min) >= time ? $1.value : 0) }
    }

    /// The number of completions per second in a period.
    func rate(from start: Int64, to end: Int64) -> Double {
        Double(completions.count { (start..<end).contains($0.time) }) / (Double(end - start) / 1e6)
    }

    /// The sums to report.
    var balance: Balance {
        let missing = missing
        return Balance(
            enqueued: confirmed.count,
            completed: confirmed.count - open.count,
            dead: dead.keys.count { confirmed[$0] != nil },
            queued: queued.count { confirmed[$0] != nil && timesCompleted[$0] == nil },
            lost: missing.subtracting(waived).count,
            duplicated: duplicated,
            discarded: missing.intersection(waived).count,
            doubtful: doubtful.count,
            doubtfulCompleted: doubtful.count { timesCompleted[$0] != nil }
        )
    }

    /// The sums of a ledger.
    struct Balance: Sendable, Hashable {
        var enqueued = 0
        var completed = 0
        var dead = 0
        var queued = 0
        var lost = 0
        var duplicated = 0
        /// Jobs that were in a queue when it was deleted.
        var discarded = 0
        /// Enqueues whose outcome the caller doesn't know.
        var doubtful = 0
        /// The number of those that were completed.
        var doubtfulCompleted = 0
    }
}

extension Ledger {
    /// The time at which a fault ended.
    struct Mark: Sendable, Hashable {
        var time: Int64
        /// True if only jobs enqueued after it count.
        var countsNewJobsOnly = false
    }

    /// The seconds from a mark to the first completion of a job; `nil` if there was none.
    func recovery(after mark: Mark) -> Double? {
        let first = completions.lazy.filter { counts($0, mark) }.map(\.time).min()
        return first.map { Double($0 - mark.time) / 1e6 }
    }

    /// The seconds from a mark to each worker's first completion; workers without one are missing.
    func firstCompletions(after mark: Mark) -> [String: Double] {
        var first: [String: Double] = [:]
        for completion in completions where counts(completion, mark) {
            let seconds = Double(completion.time - mark.time) / 1e6
            first[completion.worker] = min(first[completion.worker] ?? .infinity, seconds)
        }
        return first
    }

    private func counts(_ completion: Completion, _ mark: Mark) -> Bool {
        guard completion.time >= mark.time else { return false }
        return !mark.countsNewJobsOnly || (confirmed[completion.id] ?? .min) >= mark.time
    }
}

/// The ledger of a running experiment, fed by the event logs of its workers.
final class SharedLedger: Sendable {
    private let ledger = Mutex(Ledger())
    private let logs: Mutex<EventLogReader>

    init(folder: URL) { logs = Mutex(EventLogReader(folder: folder)) }

    /// Reads or changes the ledger.
    func with<Value: Sendable>(_ body: (inout sending Ledger) -> sending Value) -> Value { ledger.withLock(body) }

    /// Records what workers have logged since the last call.
    func readEventLogs() throws {
        try logs.withLock { logs in
            try logs.read { entry, worker in ledger.withLock { $0.record(entry, by: worker) } }
        }
    }
}
