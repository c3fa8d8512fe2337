import Foundation
import Synchronization

/// What was promised to callers of `enqueue`, and what became of it.
///
/// Times are microseconds since 1970, which processes of one machine share.
struct Ledger: Sendable {
    /// When each job that the broker confirmed began to be enqueued.
    private(set) var confirmed: [String: Int64] = [:]
    /// Jobs whose enqueue failed in a way that leaves open whether the broker has them: they may appear or not.
    private(set) var doubtful: Set<String> = []
    /// All completions, in the order in which they were read.
    private(set) var completions: [Completion] = []
    /// Jobs that were begun by a worker and not completed by it.
    private(set) var begun: [String: Set<String>] = [:]
    /// The reasons of dead jobs, as found at the end.
    private(set) var dead: [String: String] = [:]
    /// Jobs found in a queue at the end.
    private(set) var queued: Set<String> = []
    /// Jobs that may be missing, because somebody threw their queue away.
    private(set) var waived: Set<String> = []
    private var timesCompleted: [String: Int] = [:]

    /// A job's end in one worker.
    struct Completion: Sendable, Hashable {
        var id: String
        var worker: String
        var time: Int64
    }

    // MARK: What happens

    /// The broker took a job whose enqueue began at `begin`.
    mutating func confirm(_ id: String, begunAt begin: Int64) { confirmed[id] = begin }

    /// The broker may have a job or not.
    mutating func doubt(_ id: String) { doubtful.insert(id) }

    /// A worker wrote a line.
    mutating func add(_ line: JournalLine, by worker: String) {
        switch line.event {
        case .begun:
            begun[worker, default: []].insert(line.id)
        case .done:
            begun[worker]?.remove(line.id)
            completions.append(Completion(id: line.id, worker: worker, time: line.time))
            timesCompleted[line.id, default: 0] += 1
        }
    }

    /// A job was found in the dead queue.
    mutating func bury(_ id: String, reason: String) { dead[id] = reason }

    /// A job was found in a queue at the end.
    mutating func leave(_ id: String) { queued.insert(id) }

    /// All that isn't completed now may be missing: it was in a queue that is gone by its operator's will.
    mutating func waiveOpen() { waived.formUnion(open) }

    // MARK: What follows from it

    /// How many different confirmed or doubtful jobs were completed.
    var completed: Int { timesCompleted.count }

    /// The confirmed jobs that nobody completed so far.
    var open: Set<String> { Set(confirmed.keys.lazy.filter { timesCompleted[$0] == nil }) }

    /// How many times jobs were completed beyond the first time.
    var duplicated: Int { timesCompleted.values.reduce(0) { $0 + $1 - 1 } }

    /// The confirmed jobs of which there is no trace.
    var missing: Set<String> { open.filter { dead[$0] == nil && !queued.contains($0) } }

    /// What is to be reported.
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
        /// Gone with a queue that was deleted.
        var discarded = 0
        /// Enqueues whose outcome their caller doesn't know.
        var doubtful = 0
        /// How many of those were completed.
        var doubtfulCompleted = 0
    }
}

extension Ledger {
    /// A moment at which a fault ended.
    struct Mark: Sendable, Hashable {
        var time: Int64
        /// Whether only jobs count that were enqueued after it.
        var countsNewJobsOnly = false
    }

    /// How many seconds after a mark the first job was completed; `nil` if none was.
    func recovery(after mark: Mark) -> Double? {
        let first = completions.lazy.filter { counts($0, mark) }.map(\.time).min()
        return first.map { Double($0 - mark.time) / 1e6 }
    }

    /// How many seconds after a mark each worker completed its first job; workers that completed none are missing.
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

/// The ledger of a running experiment, with the journals that feed it.
final class LedgerBook: Sendable {
    private let ledger = Mutex(Ledger())
    private let journals: Mutex<JournalReader>

    init(folder: URL) { journals = Mutex(JournalReader(folder: folder)) }

    /// Reads or changes the ledger.
    func with<Value: Sendable>(_ body: (inout sending Ledger) -> sending Value) -> Value { ledger.withLock(body) }

    /// Takes in what workers have written since the last time.
    func readJournals() throws {
        try journals.withLock { journals in
            try journals.read { line, worker in ledger.withLock { $0.add(line, by: worker) } }
        }
    }
}
