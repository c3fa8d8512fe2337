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

/// A broker's journal in a file: changes collect in memory while the disk works, and are then written in one
/// transaction.
///
/// If a write fails, no change is dropped: the changes stay, their waiting callers get the error, and the write is
/// retried until it succeeds. In the meantime ``onFailureChange(_:)`` lets the broker block publishes.
package final class StoreJournal: BrokerJournal {
    /// The time after which a failed write is retried.
    private static let retryInterval: DispatchTimeInterval = .seconds(1)

    private struct State {
        var pending = PendingChanges()
        /// The number of the last `append`.
        var appended: UInt64 = 0
        /// The number up to which the file has all changes.
        var persisted: UInt64 = 0
        var waiters = CommitWaiters()
        var isWriting = false
        /// True if `append` no longer takes changes.
        var isClosed = false
        /// True if nothing is written any more.
        var hasEnded = false
        /// The error of the last write, if it failed.
        var lastFailure: AMQPError?
        var onFailureChange: (@Sendable (AMQPError?) -> Void)?
        /// The time for which the deadline timer is armed.
        var timer: ContinuousClock.Instant?
        var statistics = StoreStatistics()
    }

    /// The journal's file.
    let file: StoreFile
    private let logger: Logger
    private let state = Mutex(State())
    /// The queue for deadlines and retries, separate from the file's queue, which may hang with the disk.
    private let timers = DispatchQueue(label: "warren.store.timers")

    init(_ file: StoreFile, logger: Logger) {
        self.file = file
        self.logger = logger
    }

    /// Registers an action that is called when writing starts to fail, with the error, and when it works again, with
    /// `nil`.
    func onFailureChange(_ action: @escaping @Sendable (AMQPError?) -> Void) {
        state.withLock { $0.onFailureChange = action }
    }

    /// Counts of the writes so far.
    package var statistics: StoreStatistics { state.withLock(\.statistics) }

    // MARK: BrokerJournal

    package func append(_ changes: [BrokerChange]) -> UInt64 {
        let (number, isToWrite) = state.withLock { state -> (UInt64, Bool) in
            // A number that is never reached, so these changes never count as persisted.
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
        let id = state.withLock { $0.persisted >= number ? nil : $0.waiters.newID() }
        guard let id else { return }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CommitWaiters.Continuation) in
                let answer = state.withLock { state -> CommitWaiters.Answer? in
                    if state.persisted >= number { return .persisted }
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
        case .persisted: return
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
        if let failure = state.withLock(\.lastFailure) { logUnwrittenChanges(failure) }
        await file.close()
        // The callers that came after the last write.
        let left = state.withLock { state in
            state.hasEnded = true
            return state.waiters.take(upTo: .max)
        }
        answer(left, .failed(.storeClosed(file.path)))
    }

    // MARK: Writing

    /// On the file's queue: writes until nothing is left or a write fails.
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
                // Answered callers publish again at once, most of them just after the first one has begun the next
                // transaction: a short pause lets them share it.
                if answered > 1 { Self.pause((ContinuousClock.now - start) / 8) }
            } catch {
                return noteFailed(.notPersisted(file.path, error), changes, upTo: number)
            }
        }
    }

    /// Waits on the file's own thread, for at most a millisecond.
    private static func pause(_ duration: Duration) {
        _ = usleep(UInt32(min(1_000, max(0, duration / .microseconds(1)))))
    }

    /// Notes a successful write; returns the number of callers answered.
    private func noteWritten(_ rows: Int, upTo number: UInt64) -> Int {
        let (waiters, action, hadFailed) = state.withLock { state in
            state.persisted = number
            state.statistics.transactions += 1
            state.statistics.rows += rows
            defer { state.lastFailure = nil }
            return (state.waiters.take(upTo: number), state.onFailureChange, state.lastFailure != nil)
        }
        answer(waiters, .persisted)
        if hadFailed {
            logger.info("The durable broker can write to its file again", metadata: [LogKey.path: "\(file.path)"])
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
        // The broker blocks publishes before any caller learns that it may try again.
        action?(error)
        answer(waiters, .failed(error))
        if !hadFailed {
            logger.warning(
                "The durable broker can't write to its file and blocks publishes until it can",
                metadata: [LogKey.path: "\(file.path)", LogKey.error: "\(error)"]
            )
        }
        timers.asyncAfter(deadline: .now() + Self.retryInterval) { [weak self] in self?.retry() }
    }

    /// Retries a failed write.
    package func retry() {
        let isToWrite = state.withLock { state in
            guard state.lastFailure != nil, !state.isWriting, !state.isClosed else { return false }
            state.isWriting = true
            return true
        }
        if isToWrite { file.perform { self.writePending($0) } }
    }

    private func logUnwrittenChanges(_ failure: AMQPError) {
        logger.warning(
            "The durable broker was closed while it could not write to its file; unconfirmed changes are lost",
            metadata: [LogKey.path: "\(file.path)", LogKey.error: "\(failure)"]
        )
    }

    private func answer(_ waiters: [CommitWaiters.Continuation], _ answer: CommitWaiters.Answer) {
        for waiter in waiters { waiter.resume(returning: answer) }
    }

    // MARK: Deadlines

    /// Arms the one timer for the deadlines of all callers, nearly all of which are answered long before.
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

/// Counts of a journal's writes.
package struct StoreStatistics: Sendable, Equatable {
    /// Transactions, each of which waits for the disk once.
    package var transactions = 0
    /// Rows that were written or deleted.
    package var rows = 0
}

/// The callers that wait until their changes are in the file.
///
/// Each is answered once: after the write, at its deadline, on its task's cancellation, or when the journal closes.
private struct CommitWaiters {
    typealias Continuation = CheckedContinuation<Answer, Never>

    /// The answer to a caller.
    enum Answer: Sendable {
        case persisted
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
    /// The ids of callers that were cancelled before they were added.
    private var cancelled: Set<UInt64> = []

    init() {}

    /// An id for the next caller.
    mutating func newID() -> UInt64 {
        nextID += 1
        return nextID
    }

    /// Adds a caller; returns false if its task was cancelled already.
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

    /// Removes and returns the callers that wait for this number or an earlier one.
    mutating func take(upTo number: UInt64) -> [Continuation] { take { $0.number <= number } }

    /// Removes and returns the callers whose deadline has passed.
    mutating func takeOverdue(_ now: ContinuousClock.Instant) -> [Continuation] {
        take { $0.deadline.map { $0 <= now } ?? false }
    }

    /// Removes and returns a cancelled caller if it waits; otherwise notes its cancellation.
    mutating func cancel(_ id: UInt64) -> Continuation? {
        if let waiter = waiters.removeValue(forKey: id) { return waiter.continuation }
        cancelled.insert(id)
        return nil
    }

    /// Forgets a noted cancellation of a caller that has been answered.
    mutating func forget(_ id: UInt64) { cancelled.remove(id) }

    /// The earliest deadline.
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
