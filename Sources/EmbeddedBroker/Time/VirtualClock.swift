import HeapModule
import Synchronization

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// A clock that stands still until a test moves it, so that hours or years pass at once.
///
/// Events happen in the order of their times: ``advance(by:)`` stops at each of them, so a sleeper is woken and a
/// broker's timer fires at exactly its instant. A broker's timers fire before ``advance(by:)`` goes on, so one call
/// takes a message through any number of delays. A woken task runs only when its executor gets to it: let it run before
/// you move the clock further.
public final class VirtualClock: Clock {
    /// A moment on a ``VirtualClock``, as the time since its beginning.
    public struct Instant: InstantProtocol {
        /// The time since the clock's beginning.
        public var offset: Duration

        /// A moment at a distance from the clock's beginning.
        public init(offset: Duration) { self.offset = offset }

        /// The moment later by a duration.
        public func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        /// The duration from this moment to another.
        public func duration(to other: Instant) -> Duration { other.offset - offset }
        /// Returns whether the first moment is before the second.
        public static func < (one: Instant, other: Instant) -> Bool { one.offset < other.offset }
    }

    /// Something that happens at a moment.
    private enum Event {
        case sleeper(CheckedContinuation<Void, any Error>)
        case action(@Sendable () -> Void)
    }

    private struct Entry: Comparable, Sendable {
        var instant: Instant
        var number: Int

        static func < (one: Entry, other: Entry) -> Bool {
            (one.instant, one.number) < (other.instant, other.number)
        }
    }

    private struct State: Sendable {
        var now = Instant(offset: .zero)
        var due = Heap<Entry>()
        /// The events to come, by number; a heap entry without an event here was cancelled.
        var events: [Int: Event] = [:]
        var sleeping = 0
        var nextNumber = 0
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

        mutating func add(_ event: Event, at instant: Instant) -> Int {
            nextNumber += 1
            events[nextNumber] = event
            due.insert(Entry(instant: instant, number: nextNumber))
            return nextNumber
        }

        /// The first entry that isn't cancelled.
        mutating func first() -> Entry? {
            while let entry = due.min {
                if events[entry.number] != nil { return entry }
                due.removeMin()
            }
            return nil
        }

        mutating func takeMetWatchers() -> [CheckedContinuation<Void, Never>] {
            let met = watchers.filter { $0.count <= sleeping }
            watchers.removeAll { $0.count <= sleeping }
            return met.map(\.continuation)
        }
    }

    private let state = Mutex(State())
    /// The wall-clock time of the clock's beginning, since 1970.
    public let beginning: Duration

    /// A clock that stands at its beginning.
    ///
    /// - Parameter beginning: The wall-clock time of the beginning, since 1970; by default the first second of 2030, so
    ///   that all runs are alike.
    public init(beginning: Duration = .seconds(1_893_456_000)) { self.beginning = beginning }

    /// The clock's time.
    public var now: Instant { state.withLock(\.now) }
    /// Zero: the clock can be moved by any duration.
    public var minimumResolution: Duration { .zero }
    /// The time of the next event, of a sleeping task or of a broker; `nil` if there is none.
    public var nextEvent: Instant? { state.withLock { $0.first()?.instant } }
    /// The number of sleeping tasks.
    public var sleeperCount: Int { state.withLock(\.sleeping) }

    /// Sleeps until the clock is moved to the deadline or beyond.
    ///
    /// - Parameter deadline: The time to wake at.
    /// - Parameter tolerance: Ignored: the clock wakes a task at exactly its deadline.
    /// - Throws: `CancellationError` if the task is cancelled.
    public func sleep(until deadline: Instant, tolerance: Duration? = nil) async throws {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let (isOver, watchers) = state.withLock { state in
                    if Task.isCancelled || deadline <= state.now {
                        return (true, []) as (Bool, [CheckedContinuation<Void, Never>])
                    }
                    state.events[number] = .sleeper(continuation)
                    state.due.insert(Entry(instant: deadline, number: number))
                    state.sleeping += 1
                    return (false, state.takeMetWatchers())
                }
                if isOver { continuation.resume() }
                for watcher in watchers { watcher.resume() }
            }
            try Task.checkCancellation()
        } onCancel: {
            let event = state.withLock { state in
                let event = state.events.removeValue(forKey: number)
                if event != nil { state.sleeping -= 1 }
                return event
            }
            if case .sleeper(let continuation) = event { continuation.resume(throwing: CancellationError()) }
        }
    }

    /// Moves the clock; events that become due on the way happen at their times.
    public func advance(by duration: Duration) {
        let target = now.advanced(by: duration)
        while step(to: target) {}
        state.withLock { $0.now = max($0.now, target) }
    }

    /// Moves the clock up to the event after which `condition` holds; returns whether it holds.
    ///
    /// Tasks can then do their work at that time, before anything else becomes due.
    ///
    /// - Parameter longest: The longest time to move by.
    /// - Parameter condition: Checked before the first event and after each.
    @discardableResult
    public func advance(by longest: Duration, until condition: () -> Bool) -> Bool {
        let target = now.advanced(by: longest)
        while !condition() {
            if step(to: target) { continue }
            state.withLock { $0.now = max($0.now, target) }
            return condition()
        }
        return true
    }

    /// Moves the clock to the next event, which happens with all others of the same moment.
    ///
    /// Returns false without moving if no event is left.
    @discardableResult
    public func advanceToNextEvent() -> Bool {
        guard let next = nextEvent else { return false }
        while step(to: next) {}
        return true
    }

    /// Moves from event to event until none is left within `limit`; returns whether none is left at all.
    ///
    /// It doesn't wait for the tasks that it wakes, so it suits events of brokers.
    @discardableResult
    public func runUntilIdle(limit: Duration = .seconds(10 * 365 * 86_400)) -> Bool {
        let target = now.advanced(by: limit)
        while step(to: target) {}
        return nextEvent == nil
    }

    /// Waits until at least `count` tasks are sleeping on this clock.
    public func untilAsleep(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isMet = state.withLock { state in
                if state.sleeping >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isMet { continuation.resume() }
        }
    }

    /// Schedules `action`, which is called on the task that moves the clock; returns a number to cancel it by.
    func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> Int {
        state.withLock { $0.add(.action(action), at: instant) }
    }

    /// Cancels a scheduled action.
    func cancel(_ number: Int) {
        state.withLock { _ = $0.events.removeValue(forKey: number) }
    }

    /// Makes the first event happen if it is due by `target`; returns whether there was one.
    private func step(to target: Instant) -> Bool {
        let event = state.withLock { state -> Event? in
            guard let entry = state.first(), entry.instant <= target else { return nil }
            state.due.removeMin()
            state.now = max(state.now, entry.instant)
            let event = state.events.removeValue(forKey: entry.number)
            if case .sleeper = event { state.sleeping -= 1 }
            return event
        }
        switch event {
        case .sleeper(let continuation): continuation.resume()
        case .action(let action): action()
        case nil: return false
        }
        return true
    }
}

extension VirtualClock {
    /// The wall-clock time, for code that compares dates, such as a worker's `now`.
    public var date: Date {
        // The quotient of two durations isn't exact for whole seconds.
        let time = (beginning + now.offset).components
        return Date(timeIntervalSince1970: Double(time.seconds) + Double(time.attoseconds) * 1e-18)
    }
}
