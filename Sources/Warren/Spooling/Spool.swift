import AMQP
import Dispatch
public import Logging
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A file that takes jobs while the broker can't, until they can be sent.
///
/// ```swift
/// let jobs = JobClient(.rabbitMQ(url), spool: try Spool(at: "/var/lib/shop/jobs.spool", limit: 64 << 20))
/// async let _ = jobs.replayer.run()    // or add `jobs.replayer` to the program's ServiceGroup
/// ```
///
/// A job in it is on the disk when `enqueue` returns: it survives the end of the process and the loss of power. It is sent in order and
/// with its id by ``JobClient/replayer``, at least once: a crash in mid-replay makes the last few be sent again.
///
/// One process uses a file at a time. Beside it stand, with its name and `.lock`, what keeps others away; with `.rejected`, the jobs that
/// the broker refused for good, one JSON object a line; with `.new`, for moments, its successor; and with `.damaged-` and the time, what
/// the disk had made of it when it was opened. Opening reads the whole file once; later its jobs stay on the disk.
public final class Spool: Sendable {
    /// Where the file is.
    public let path: String
    /// How many bytes the file may have.
    ///
    /// Compacting it takes as much again for a moment. The file of the rejected has the same limit.
    public let limit: Int

    private struct State {
        var appends = SpoolAppends()
        var use: SpoolJournal.Use
        var spooled = 0
        var replayed = 0
        var rejected = 0
        /// Open while entries wait.
        var notEmpty = Latch()
        /// Why the broker took nothing when it was last asked.
        var cause: AMQPError?
        var replayers = 0
    }

    let logger: Logger
    /// Lets one replay run at a time: two would send everything twice.
    let replaying = AsyncMutex()
    /// Only `disk` uses it, so nobody waits for this lock while the disk works.
    private let journal: Mutex<SpoolJournal>
    private let state: Mutex<State>
    /// The disk may block for long, which the threads of Swift's tasks mustn't.
    private let disk = DispatchQueue(label: "warren.spool")

    /// Opens the file, or makes it; the folder must exist.
    ///
    /// What a crash left of its last write is cut off. Of a file damaged in its middle all that is readable is kept in use, and the damaged
    /// file is kept beside it.
    ///
    /// - Parameter limit: How many bytes the file may have, at least 4,096.
    /// - Parameter logger: Told when jobs begin and cease to be spooled, and of all that is wrong with files.
    /// - Throws: ``WarrenError`` with `spoolFailed` if another process uses the file, it is no spool or one of another version, or it can't
    ///   be read and written; `invalidConfiguration` for the limit.
    public convenience init(
        at path: String,
        limit: Int,
        logger: Logger = Logger(label: "warren.spool")
    ) throws(WarrenError) {
        do {
            try self.init(SpoolDisk(at: path), path: path, limit: limit, logger: logger)
        } catch let error as WarrenError {
            throw error
        } catch {
            throw Self.notOpened(path, error)
        }
    }

    /// Opens the spool in a storage.
    init(_ storage: any SpoolStorage, path: String, limit: Int, logger: Logger) throws(WarrenError) {
        guard limit >= 4_096 else {
            throw WarrenError(.invalidConfiguration, "The spool '\(path)' needs a limit of 4,096 bytes or more.")
        }
        let journal: SpoolJournal
        do {
            journal = try SpoolJournal(
                storage,
                limit: limit,
                newSalt: .random(in: 0 ... .max),
                aside: "\(path).damaged-\(WireTime.text(Date()))"
            )
        } catch {
            throw Self.notOpened(path, error)
        }
        self.path = path
        self.limit = limit
        self.logger = logger
        state = Mutex(State(use: journal.use))
        self.journal = Mutex(journal)
        if !journal.log.places.isEmpty { state.withLock { $0.notEmpty.open() } }
        tell(of: journal.recovery)
    }

    /// What is in the file, and what became of what was.
    public var status: SpoolStatus {
        state.withLock { state in
            SpoolStatus(
                waiting: state.use.waiting,
                bytes: state.use.bytes,
                limit: limit,
                spooled: state.spooled,
                replayed: state.replayed,
                rejected: state.rejected
            )
        }
    }

    /// Gives the file up, so that another process or another `Spool` can open it; what is done with this one afterwards fails.
    public func close() {
        disk.sync { journal.withLock { $0.storage.close() } }
    }

    // MARK: - Appending

    /// True if jobs wait, behind which new ones must go.
    var hasWaiting: Bool { state.withLock { $0.use.waiting > 0 || !$0.appends.isEmpty } }

    /// Puts a job in, and returns when the disk has it.
    ///
    /// - Parameter cause: Why the broker didn't take it; `nil` if it wasn't asked.
    /// - Parameter deadline: When to give up.
    /// - Parameter clock: The clock that the deadline passes by.
    /// - Throws: ``WarrenError``: `spoolFull`, `spoolFailed`, `spoolTimedOut`, `notEnqueued` if the task is cancelled.
    func append(
        _ entry: SpoolEntry,
        cause: AMQPError?,
        deadline: ContinuousClock.Instant,
        clock: any Clock<Duration>
    ) async throws {
        let payload: [UInt8]
        do {
            payload = try entry.encoded()
        } catch {
            throw WarrenError(.notEnqueued, "\(Self.words(for: entry)) can't be sent.", underlying: error)
        }
        let known = state.withLock { state in
            if let cause { state.cause = cause }
            return state.cause
        }
        do {
            try await Deadline.run(until: deadline, clock: clock) {
                try await self.write(payload, of: entry, cause: known)
            }
        } catch is Deadline.Passed {
            throw Self.unanswered(entry, path, known)
        }
    }

    private func write(_ payload: [UInt8], of entry: SpoolEntry, cause: AMQPError?) async throws {
        let id = state.withLock { $0.appends.newID() }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { (caller: SpoolAppends.Continuation) in
                let refused: SpoolAppends.Answer? = state.withLock { state in
                    let size = payload.count + SpoolFormat.recordHeaderLength
                    guard state.appends.bytes + size <= state.use.room else {
                        return .done(.failure(SpoolRoomExceeded(description: "The spool is full.")))
                    }
                    return state.appends.add(id, payload, caller) ? nil : .withdrawn
                }
                if let refused { return caller.resume(returning: refused) }
                disk.async { self.writeAppends() }
            }
        } onCancel: {
            if let (caller, answer) = state.withLock({ $0.appends.cancel(id) }) { caller.resume(returning: answer) }
        }
        switch answer {
        case .done(.success): return
        case .done(.failure(let error)) where error is SpoolRoomExceeded: throw Self.full(entry, path, limit, cause)
        case .done(.failure(let error)): throw Self.notWritten(entry, path, error, cause)
        case .withdrawn:
            throw WarrenError(
                .notEnqueued,
                "\(Self.words(for: entry)) was not enqueued: the task was cancelled.",
                underlying: cause
            )
        case .unknown: throw Self.unanswered(entry, path, cause)
        }
    }

    /// On the disk's queue: writes what has come together.
    private func writeAppends() {
        let batch = state.withLock { $0.appends.begin() }
        if batch.isEmpty { return }
        let (results, use) = journal.withLock { journal in (journal.append(batch.map(\.payload)), journal.use) }
        let spooled = results.count { if case .success = $0 { true } else { false } }
        let (callers, latch, isFirst) = state.withLock { state in
            let isFirst = state.use.waiting == 0 && spooled > 0
            state.use = use
            state.spooled += spooled
            return (state.appends.end(batch.map(\.id)), use.waiting > 0 ? state.notEmpty : nil, isFirst)
        }
        latch?.open()
        if isFirst { tellOfFirst() }
        for (caller, result) in zip(callers, results) { caller?.resume(returning: .done(result)) }
    }

    // MARK: - Replaying

    /// Waits until jobs wait, or the task is cancelled.
    func untilNotEmpty() async { await state.withLock { $0.notEmpty }.wait() }

    /// The next jobs to send, encoded, in order.
    func next(_ count: Int, bytes: Int) async throws(WarrenError) -> [(sequence: UInt64, payload: [UInt8])] {
        let found: Result<[(sequence: UInt64, payload: [UInt8])], any Error> = await onDisk { spool in
            Result { try spool.journal.withLock { try $0.next(count, bytes: bytes) } }
        }
        do { return try found.get() } catch { throw Self.notOpened(path, error) }
    }

    /// Notes that the broker has these jobs.
    func settle(_ sequences: Set<UInt64>, replayed: Int) async {
        await onDisk { spool in
            let (result, use) = spool.journal.withLock { journal in
                (Result { try journal.settle(sequences) }, journal.use)
            }
            let emptied = spool.state.withLock { state in
                state.use = use
                state.replayed += replayed
                guard use.waiting == 0 else { return false }
                state.notEmpty = Latch()
                state.cause = nil
                return true
            }
            if case .failure(let error) = result { spool.tell(ofUnmarked: error) }
            if emptied { spool.tellOfEmpty() }
        }
    }

    /// Moves a job to the file of the rejected.
    func reject(_ payload: [UInt8], reason: String) async throws(WarrenError) {
        let result: Result<Void, any Error> = await onDisk { spool in
            Result {
                let line = try RejectedEntry(payload, reason: reason, now: Date()).line()
                try spool.journal.withLock { try $0.storage.appendRejected(line, limit: spool.limit) }
            }
        }
        do { try result.get() } catch { throw Self.notRejected(path, error) }
        state.withLock { $0.rejected += 1 }
    }

    /// A replayer runs, or ends.
    func countReplayers(by change: Int) { state.withLock { $0.replayers += change } }

    /// Why the broker took nothing when it was last asked.
    var lastCause: AMQPError? { state.withLock { $0.cause } }

    var isReplayed: Bool { state.withLock { $0.replayers > 0 } }

    private func onDisk<Value: Sendable>(_ work: @escaping @Sendable (Spool) -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            disk.async { continuation.resume(returning: work(self)) }
        }
    }
}
