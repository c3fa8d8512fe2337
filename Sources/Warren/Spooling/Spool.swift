import AMQP
import Dispatch
public import Logging
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A file that keeps jobs while the broker can't take them.
///
/// ```swift
/// let spool = try Spool(at: "/var/lib/shop/jobs.spool", limit: 64 << 20)
/// let jobs = JobClient(broker, spool: spool)
/// async let _ = jobs.replayer.run()    // or add `jobs.replayer` to the program's ServiceGroup
/// ```
///
/// A spooled job is on the disk when `enqueue` returns: it survives the end of the process and a loss of power. The
/// client's ``JobClient/replayer`` sends the jobs in order and with their ids, at least once: after a crash during the
/// replay the last few are sent again.
///
/// One process uses a file at a time. Other files stand beside it, with its name and a suffix: `.lock` keeps other
/// processes away; `.rejected` has the jobs that the broker refused for good, one JSON object a line; `.new` is a new
/// version of the file while it is written; `.damaged-` and the time is a file that was found damaged on opening.
/// Opening reads the whole file once; later its jobs stay on the disk.
public final class Spool: Sendable {
    /// The path of the file.
    public let path: String
    /// The most bytes that the file may have.
    ///
    /// Compacting it briefly takes as much again. The file of rejected jobs has the same limit.
    public let limit: Int

    private struct State {
        var appends = SpoolAppends()
        var use: SpoolLog.Use
        var spooled = 0
        var replayed = 0
        var rejected = 0
        /// Open while entries wait.
        var notEmpty = Latch()
        /// The reason why the broker last refused a job.
        var cause: AMQPError?
        var replayers = 0
    }

    let logger: Logger
    /// Lets one replay run at a time; two would send everything twice.
    let replaying = AsyncMutex()
    /// Only `disk` uses it, so no task waits for this lock while the disk works.
    private let log: Mutex<SpoolLog>
    private let state: Mutex<State>
    /// The disk may block for a long time, which the threads of Swift's tasks must not do.
    private let disk = DispatchQueue(label: "warren.spool")

    /// Opens the file, or creates it; the folder must exist.
    ///
    /// An incomplete record that a crash left at the end of the file is cut off. If the file is damaged in its middle,
    /// all readable jobs stay in use, and the damaged file is kept beside it.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - limit: The most bytes that the file may have, at least 4,096.
    ///   - logger: Logs the start and end of spooling, and problems with files.
    /// - Throws: ``WarrenError`` with `spoolFailed` if another process uses the file, it is not a spool or has another
    ///   version, or it can't be read and written; `invalidConfiguration` for the limit.
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
            throw Self.cannotOpen(path, error)
        }
    }

    /// Opens the spool in a storage.
    init(_ storage: any SpoolStorage, path: String, limit: Int, logger: Logger) throws(WarrenError) {
        guard limit >= 4_096 else {
            throw WarrenError(.invalidConfiguration, "The spool '\(path)' needs a limit of 4,096 bytes or more.")
        }
        let log: SpoolLog
        do {
            log = try SpoolLog(
                storage,
                limit: limit,
                newSalt: .random(in: 0 ... .max),
                quarantineName: "\(path).damaged-\(WireTime.text(Date()))"
            )
        } catch {
            throw Self.cannotOpen(path, error)
        }
        self.path = path
        self.limit = limit
        self.logger = logger
        state = Mutex(State(use: log.use))
        self.log = Mutex(log)
        if !log.index.entries.isEmpty { state.withLock { $0.notEmpty.open() } }
        logRecovery(log.recovery)
    }

    /// The number of waiting jobs, and the counts of this process.
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

    /// Closes the file, so that another process or another `Spool` can open it; this one can't be used afterwards.
    public func close() {
        disk.sync { log.withLock { $0.storage.close() } }
    }

    // MARK: - Appending

    /// True if jobs wait, behind which new ones must wait too.
    var hasWaiting: Bool { state.withLock { $0.use.waiting > 0 || !$0.appends.isEmpty } }

    /// Appends a job, and returns when it is durable.
    ///
    /// - Parameters:
    ///   - entry: The job.
    ///   - cause: The reason why the broker didn't take it; `nil` if it wasn't asked.
    ///   - deadline: The time at which to give up.
    ///   - clock: The clock that measures the time left.
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
            throw WarrenError(.notEnqueued, "\(entry) can't be sent.", underlying: error)
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
            throw Self.timedOut(entry, path, known)
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
        case .done(.failure(let error)): throw Self.cannotWrite(entry, path, error, cause)
        case .withdrawn:
            throw WarrenError(
                .notEnqueued,
                "\(entry) was not enqueued: the task was cancelled.",
                underlying: cause
            )
        case .unknown: throw Self.timedOut(entry, path, cause)
        }
    }

    /// On the disk's queue: writes all entries that were appended since the last write.
    private func writeAppends() {
        let batch = state.withLock { $0.appends.begin() }
        if batch.isEmpty { return }
        let (results, use) = log.withLock { log in (log.append(batch.map(\.payload)), log.use) }
        let spooled = results.count { if case .success = $0 { true } else { false } }
        let (callers, latch, isFirst) = state.withLock { state in
            let isFirst = state.use.waiting == 0 && spooled > 0
            state.use = use
            state.spooled += spooled
            return (state.appends.end(batch.map(\.id)), use.waiting > 0 ? state.notEmpty : nil, isFirst)
        }
        latch?.open()
        if isFirst { logSpoolingStarted() }
        for (caller, result) in zip(callers, results) { caller?.resume(returning: .done(result)) }
    }

    // MARK: - Replaying

    /// Returns when jobs wait, or the task is cancelled.
    func untilNotEmpty() async { await state.withLock { $0.notEmpty }.wait() }

    /// The next jobs to send, encoded, in order.
    func next(_ count: Int, bytes: Int) async throws(WarrenError) -> [(sequence: UInt64, payload: [UInt8])] {
        let found: Result<[(sequence: UInt64, payload: [UInt8])], any Error> = await onDisk { spool in
            Result { try spool.log.withLock { try $0.next(count, bytes: bytes) } }
        }
        do { return try found.get() } catch { throw Self.cannotOpen(path, error) }
    }

    /// Records that the broker has these jobs.
    func settle(_ sequences: Set<UInt64>, replayed: Int) async {
        await onDisk { spool in
            let (result, use) = spool.log.withLock { log in
                (Result { try log.settle(sequences) }, log.use)
            }
            let emptied = spool.state.withLock { state in
                state.use = use
                state.replayed += replayed
                guard use.waiting == 0 else { return false }
                state.notEmpty = Latch()
                state.cause = nil
                return true
            }
            if case .failure(let error) = result { spool.logNotMarked(error) }
            if emptied { spool.logDrained() }
        }
    }

    /// Copies a job to the file of rejected jobs.
    func reject(_ payload: [UInt8], reason: String) async throws(WarrenError) {
        let result: Result<Void, any Error> = await onDisk { spool in
            Result {
                let line = try RejectedEntry(payload, reason: reason, now: Date()).line()
                try spool.log.withLock { try $0.storage.appendRejected(line, limit: spool.limit) }
            }
        }
        do { try result.get() } catch { throw Self.cannotMoveRejected(path, error) }
        state.withLock { $0.rejected += 1 }
    }

    /// Counts a replayer that starts or ends.
    func countReplayers(by change: Int) { state.withLock { $0.replayers += change } }

    /// The reason why the broker last refused a job.
    var lastCause: AMQPError? { state.withLock { $0.cause } }

    var isReplayed: Bool { state.withLock { $0.replayers > 0 } }

    private func onDisk<Value: Sendable>(_ work: @escaping @Sendable (Spool) -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            disk.async { continuation.resume(returning: work(self)) }
        }
    }
}

/// The number of jobs in a ``Spool``, and the counts of this process.
public struct SpoolStatus: Sendable, Hashable, Codable {
    /// The number of jobs that wait in the file for the broker.
    public var waiting: Int
    /// The number of bytes of the file in use.
    public var bytes: Int
    /// The most bytes that the file may have.
    public var limit: Int
    /// The number of jobs that this process spooled.
    public var spooled: Int
    /// The number of jobs that this process sent from the file to the broker.
    public var replayed: Int
    /// The number of jobs that this process moved to the file of rejected jobs.
    public var rejected: Int
}
