package import AMQP
import Dispatch
package import EmbeddedBroker
import GRDB
import Logging
import Synchronization

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A broker's journal in a file: changes come together in memory while the disk works, and go there in one transaction.
///
/// If the file can't be written, nothing is given up: the changes stay, those who wait for them are told, and the write is tried again
/// until it succeeds. `onFailureChange` lets the broker take no publishes meanwhile.
package final class StoreJournal: BrokerJournal {
    /// After how long a write that failed is tried again.
    private static let retryInterval: DispatchTimeInterval = .seconds(1)

    private struct State {
        var pending = PendingChanges()
        /// The number of the last call.
        var appended: UInt64 = 0
        /// Up to which number the file has all.
        var kept: UInt64 = 0
        var waiters = CommitWaiters()
        var isWriting = false
        /// Whether nothing more is taken.
        var isClosed = false
        /// Whether nothing more is written.
        var hasEnded = false
        /// Why the last write failed.
        var lastFailure: AMQPError?
        var onFailureChange: (@Sendable (AMQPError?) -> Void)?
        /// When the timer for deadlines goes off.
        var timer: ContinuousClock.Instant?
        var statistics = StoreStatistics()
    }

    let file: StoreFile
    private let logger: Logger
    private let state = Mutex(State())
    /// For deadlines and for trying again; the file has a queue of its own, which may hang with the disk.
    private let timers = DispatchQueue(label: "warren.store.timers")

    init(_ file: StoreFile, logger: Logger) {
        self.file = file
        self.logger = logger
    }

    /// Has `action` called with what is wrong with the file, whenever that changes.
    func onFailureChange(_ action: @escaping @Sendable (AMQPError?) -> Void) {
        state.withLock { $0.onFailureChange = action }
    }

    /// What was written so far.
    package var statistics: StoreStatistics { state.withLock(\.statistics) }

    // MARK: BrokerJournal

    package func append(_ changes: [BrokerChange]) -> UInt64 {
        let (number, isToWrite) = state.withLock { state -> (UInt64, Bool) in
            // Never reached, so that it is never said to be kept.
            if state.isClosed { return (.max, false) }
            state.appended += 1
            for change in changes { state.pending.add(change) }
            let isToWrite = !state.isWriting && state.lastFailure == nil
            if isToWrite { state.isWriting = true }
            return (state.appended, isToWrite)
        }
        if isToWrite { file.perform { self.writePending($0) } }
        return number
    }

    package func waitUntilPersisted(_ number: UInt64, until deadline: ContinuousClock.Instant?) async throws(AMQPError)
    {
        let id = state.withLock { $0.kept >= number ? nil : $0.waiters.newID() }
        guard let id else { return }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CommitWaiters.Continuation) in
                let answer = state.withLock { state -> CommitWaiters.Answer? in
                    if state.kept >= number { return .kept }
                    if state.hasEnded { return .failed(.storeClosed(file.path)) }
                    guard state.waiters.add(id, for: number, until: deadline, continuation) else { return .cancelled }
                    return nil
                }
                if let answer { return continuation.resume(returning: answer) }
                if let deadline { armTimer(deadline) }
            }
        } onCancel: {
            state.withLock { $0.waiters.cancel(id) }?.resume(returning: .cancelled)
        }
        if Task.isCancelled { state.withLock { $0.waiters.forget(id) } }
        switch answer {
        case .kept: return
        case .failed(let error): throw error
        case .timedOut: throw .storeTimedOut(file.path, state.withLock(\.lastFailure))
        case .cancelled: throw .storeCancelled(file.path)
        }
    }

    package func close() async {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        await withCheckedContinuation { continuation in
            file.perform { database in
                self.writePending(database)
                continuation.resume()
            }
        }
        if let trouble = state.withLock(\.lastFailure) { logUnwrittenChanges(trouble) }
        await file.close()
        // Whoever asked after the last write.
        let left = state.withLock { state in
            state.hasEnded = true
            return state.waiters.take(upTo: .max)
        }
        answer(left, .failed(.storeClosed(file.path)))
    }

    // MARK: Writing

    /// On the file's queue: writes until nothing is left or something is wrong.
    private func writePending(_ database: Database) {
        while true {
            let (changes, number) = state.withLock { state in
                let changes = state.pending
                state.pending = PendingChanges()
                state.isWriting = !changes.isEmpty
                return (changes, state.appended)
            }
            if changes.isEmpty { return }
            let start = ContinuousClock.now
            do {
                let answered = noteWritten(try file.write(changes, to: database), upTo: number)
                // Those who were answered come back at once, most of them just after the first has begun the next transaction.
                if answered > 1 { Self.pause((ContinuousClock.now - start) / 8) }
            } catch {
                return noteFailed(.notPersisted(file.path, error), changes, upTo: number)
            }
        }
    }

    /// Waits a moment, at most a millisecond, on the file's own thread.
    private static func pause(_ duration: Duration) {
        _ = usleep(UInt32(min(1_000, max(0, duration / .microseconds(1)))))
    }

    /// Returns how many callers were answered.
    private func noteWritten(_ rows: Int, upTo number: UInt64) -> Int {
        let (waiters, action, hadFailed) = state.withLock { state in
            state.kept = number
            state.statistics.transactions += 1
            state.statistics.rows += rows
            defer { state.lastFailure = nil }
            return (state.waiters.take(upTo: number), state.onFailureChange, state.lastFailure != nil)
        }
        answer(waiters, .kept)
        if hadFailed {
            logger.info("The file of the durable broker can be written again", metadata: ["file": "\(file.path)"])
            action?(nil)
        }
        return waiters.count
    }

    private func noteFailed(_ error: AMQPError, _ changes: PendingChanges, upTo number: UInt64) {
        let (waiters, action, hadFailed) = state.withLock { state in
            var all = changes
            all.add(state.pending)
            state.pending = all
            state.isWriting = false
            defer { state.lastFailure = error }
            return (state.waiters.take(upTo: number), state.onFailureChange, state.lastFailure != nil)
        }
        // The broker takes no more before anybody is told to try again.
        action?(error)
        answer(waiters, .failed(error))
        if !hadFailed {
            logger.warning(
                "The file of the durable broker can't be written; it takes no publishes until it can",
                metadata: ["file": "\(file.path)", "error": "\(error)"]
            )
        }
        timers.asyncAfter(deadline: .now() + Self.retryInterval) { [weak self] in self?.retry() }
    }

    /// Tries to write what could not be written.
    package func retry() {
        let isToWrite = state.withLock { state in
            guard state.lastFailure != nil, !state.isWriting, !state.isClosed else { return false }
            state.isWriting = true
            return true
        }
        if isToWrite { file.perform { self.writePending($0) } }
    }

    private func logUnwrittenChanges(_ trouble: AMQPError) {
        logger.warning(
            "The durable broker was closed while its file could not be written: what was not confirmed is not in it",
            metadata: ["file": "\(file.path)", "error": "\(trouble)"]
        )
    }

    private func answer(_ waiters: [CommitWaiters.Continuation], _ answer: CommitWaiters.Answer) {
        for waiter in waiters { waiter.resume(returning: answer) }
    }

    // MARK: Deadlines

    /// Makes sure that callers are looked at when the deadline has come: one timer for all, since nearly all are answered long before.
    private func armTimer(_ deadline: ContinuousClock.Instant) {
        let isToArm = state.withLock { state in
            if let timer = state.timer, timer <= deadline { return false }
            state.timer = deadline
            return true
        }
        guard isToArm else { return }
        let rest = max(.zero, deadline - .now)
        let (seconds, attoseconds) = rest.components
        let time = DispatchTime.now() + Double(seconds) + Double(attoseconds) * 1e-18
        timers.asyncAfter(deadline: time) { [weak self] in self?.timeOutOverdue() }
    }

    private func timeOutOverdue() {
        let (overdue, next) = state.withLock { state in
            let overdue = state.waiters.takeOverdue(.now)
            state.timer = nil
            return (overdue, state.waiters.nextDeadline)
        }
        answer(overdue, .timedOut)
        if let next { armTimer(next) }
    }
}

/// How much a journal wrote.
package struct StoreStatistics: Sendable, Equatable {
    /// Transactions, each with one wait for the disk.
    package var transactions = 0
    /// Rows written or deleted in them.
    package var rows = 0
}

/// The callers that wait until their changes are in the file.
///
/// Each is answered once: by the file, by its deadline, by its task's cancellation, or by the end.
struct CommitWaiters {
    typealias Continuation = CheckedContinuation<Answer, Never>

    /// What a caller is told.
    enum Answer: Sendable {
        case kept
        case failed(AMQPError)
        case timedOut
        case cancelled
    }

    private struct Waiter {
        var number: UInt64
        var deadline: ContinuousClock.Instant?
        var continuation: Continuation
    }

    private var waiters: [UInt64: Waiter] = [:]
    private var nextID: UInt64 = 0
    /// Those cancelled before they were added.
    private var cancelled: Set<UInt64> = []

    init() {}

    var isEmpty: Bool { waiters.isEmpty }

    /// The next caller's own number.
    mutating func newID() -> UInt64 {
        nextID += 1
        return nextID
    }

    /// Takes a caller; false if its task was cancelled already.
    mutating func add(
        _ id: UInt64,
        for number: UInt64,
        until deadline: ContinuousClock.Instant?,
        _ continuation: Continuation
    ) -> Bool {
        if cancelled.remove(id) != nil { return false }
        waiters[id] = Waiter(number: number, deadline: deadline, continuation: continuation)
        return true
    }

    /// Takes those out that wait for this number or one before.
    mutating func take(upTo number: UInt64) -> [Continuation] { take { $0.number <= number } }

    /// Takes those out whose time is over.
    mutating func takeOverdue(_ now: ContinuousClock.Instant) -> [Continuation] {
        take { $0.deadline.map { $0 <= now } ?? false }
    }

    /// Takes out the one that was cancelled, if it waits.
    mutating func cancel(_ id: UInt64) -> Continuation? {
        if let waiter = waiters.removeValue(forKey: id) { return waiter.continuation }
        cancelled.insert(id)
        return nil
    }

    /// A caller was answered without having waited, or after: forgets what was noted of it.
    mutating func forget(_ id: UInt64) { cancelled.remove(id) }

    /// When the first of them gives up.
    var nextDeadline: ContinuousClock.Instant? { waiters.values.compactMap(\.deadline).min() }

    private mutating func take(where isMet: (Waiter) -> Bool) -> [Continuation] {
        let met = waiters.filter { isMet($0.value) }
        if met.count == waiters.count {
            waiters.removeAll(keepingCapacity: true)
        } else {
            for id in met.keys { waiters[id] = nil }
        }
        return met.values.map(\.continuation)
    }
}
