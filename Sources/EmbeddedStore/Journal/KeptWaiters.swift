import AMQP

/// The callers that wait until their changes are in the file.
///
/// Each is answered once: by the file, by its deadline, by its task's cancellation, or by the end.
struct KeptWaiters {
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
