import Synchronization

/// Where a queue's deliveries wait for a free slot: a ``LaneScheduler`` behind a lock, with the slots that wait for work.
///
/// Readers offer, slots take. It holds no more than the broker's prefetch lets in. ``close()`` is what ends the waiting of a slot; a
/// cancelled task that waits here goes on waiting, because whoever cancels closes first.
final class LaneQueue<Element: Sendable>: Sendable {
    private struct State: Sendable {
        var scheduler: LaneScheduler<Element>
        var idle: [CheckedContinuation<Element?, Never>] = []
    }

    private let state: Mutex<State>

    init(_ scheduler: LaneScheduler<Element>) {
        state = Mutex(State(scheduler: scheduler))
    }

    /// Hands elements to idle slots, lets the rest wait.
    ///
    /// Returns those it doesn't take because it is closed.
    func offer(_ elements: [Element], lane: Int) -> [Element] {
        let (refused, wakeUps) = state.withLock { state in
            let refused = state.scheduler.offer(elements, lane: lane)
            var wakeUps: [(CheckedContinuation<Element?, Never>, Element)] = []
            while let slot = state.idle.last, let element = state.scheduler.take() {
                state.idle.removeLast()
                wakeUps.append((slot, element))
            }
            return (refused, wakeUps)
        }
        for (slot, element) in wakeUps { slot.resume(returning: element) }
        return refused
    }

    /// The next element; suspends until there is one.
    ///
    /// `nil` once the queue is closed.
    func next() async -> Element? {
        if let element = state.withLock({ $0.scheduler.take() }) { return element }
        return await withCheckedContinuation { slot in
            let answer: Element?? = state.withLock { state in
                if let element = state.scheduler.take() { return .some(element) }
                if state.scheduler.isClosed { return .some(nil) }
                state.idle.append(slot)
                return nil
            }
            if let answer { slot.resume(returning: answer) }
        }
    }

    /// Removes what waits in one lane.
    func removeAll(lane: Int) -> [Element] {
        state.withLock { $0.scheduler.removeAll(lane: lane) }
    }

    /// Takes no more, lets the idle slots go, and returns what waited.
    func close() -> [Element] {
        let (waiting, idle) = state.withLock { state in
            let idle = state.idle
            state.idle = []
            return (state.scheduler.close(), idle)
        }
        for slot in idle { slot.resume(returning: nil) }
        return waiting
    }
}
