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
