import AMQP
import DequeModule
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

/// Decides which of the waiting deliveries is next: strictly by lane, or by weight.
///
/// A value without clock, lock or I/O.
///
/// Lanes are numbers, the most urgent first. By weight it is a smooth weighted round robin: each lane with something waiting gains its
/// weight at every turn, the richest goes and pays what all gained. So of any sum-of-weights turns in a row each busy lane has its
/// weight's worth, evenly spread, and the order is the same every time.
struct LaneScheduler<Element> {
    fileprivate struct LaneState {
        var waiting = Deque<Element>()
        var weight: Int
        var credit = 0
    }

    private var lanes: [LaneState]
    private let isStrict: Bool
    /// How many elements wait.
    private(set) var count = 0
    /// True once ``close()`` was called: nothing is taken in or handed out any more.
    private(set) var isClosed = false

    /// A scheduler whose lanes are drained in order, each only while those before it are empty.
    init(strictLanes count: Int) {
        lanes = Array(repeating: LaneState(weight: 1), count: count)
        isStrict = true
    }

    /// A scheduler whose lanes share the turns by weight.
    init(weights: [Int]) {
        lanes = weights.map { LaneState(weight: max(1, $0)) }
        isStrict = weights.count < 2
    }

    /// Puts elements at the end of a lane.
    ///
    /// Returns those that it doesn't take because it is closed.
    mutating func offer(_ elements: some Collection<Element>, lane: Int) -> [Element] {
        guard !isClosed else { return Array(elements) }
        lanes[lane].waiting.append(contentsOf: elements)
        count += elements.count
        return []
    }

    /// The element whose turn it is; `nil` if none waits.
    mutating func take() -> Element? {
        guard count > 0 else { return nil }
        let lane = isStrict ? firstBusyLane() : richestBusyLane()
        count -= 1
        let element = lanes[lane].waiting.removeFirst()
        if lanes[lane].waiting.isEmpty { lanes[lane].credit = 0 }
        return element
    }

    /// Removes what waits in one lane, as when its consumer is lost and the broker has taken its deliveries back.
    mutating func removeAll(lane: Int) -> [Element] {
        let removed = Array(lanes[lane].waiting)
        lanes[lane].waiting.removeAll()
        lanes[lane].credit = 0
        count -= removed.count
        return removed
    }

    /// Ends it, and returns all that waited.
    mutating func close() -> [Element] {
        isClosed = true
        return lanes.indices.flatMap { removeAll(lane: $0) }
    }

    private func firstBusyLane() -> Int {
        for index in lanes.indices where !lanes[index].waiting.isEmpty { return index }
        preconditionFailure("A lane scheduler counts \(count) elements, and none waits.")
    }

    private mutating func richestBusyLane() -> Int {
        var richest = -1
        var total = 0
        for index in lanes.indices where !lanes[index].waiting.isEmpty {
            lanes[index].credit += lanes[index].weight
            total += lanes[index].weight
            if richest < 0 || lanes[index].credit > lanes[richest].credit { richest = index }
        }
        lanes[richest].credit -= total
        return richest
    }
}

extension LaneScheduler: Sendable where Element: Sendable {}
extension LaneScheduler.LaneState: Sendable where Element: Sendable {}

/// A delivery and the lane it came from.
struct LaneDelivery: Sendable {
    let delivery: Delivery
    let lane: Lane
    /// The consumer it came from, where the queue has a circuit breaker.
    var use: ConsumerLease?
}
