import AMQP
import DequeModule
import Synchronization

/// A delivery with the priority lane it came from.
struct LaneDelivery: Sendable {
    let delivery: Delivery
    let lane: Lane
    /// The consumer it came from.
    let lease: ConsumerLease
}

/// Decides which waiting delivery is next: strictly by lane, or by weight.
///
/// A value without clock, lock or I/O.
///
/// Lanes are numbers, the most urgent first. By weight it is a smooth weighted round robin: in each round every lane
/// with something waiting gains its weight as credit, and the lane with the most credit goes and pays what all have
/// gained. So over any run of as many rounds as the weights add up to, each busy lane goes as often as its weight says,
/// evenly spread, and the order is always the same.
struct LaneScheduler<Element> {
    fileprivate struct LaneState {
        var waiting = Deque<Element>()
        var weight: Int
        var credit = 0
    }

    private var lanes: [LaneState]
    private let isStrict: Bool
    /// The number of waiting elements.
    private(set) var count = 0
    /// True once ``close()`` was called: nothing is accepted or handed out any more.
    private(set) var isClosed = false

    /// A scheduler that drains each lane only while those before it are empty.
    init(strictLanes count: Int) {
        lanes = Array(repeating: LaneState(weight: 1), count: count)
        isStrict = true
    }

    /// A scheduler whose lanes take rounds by weight.
    init(weights: [Int]) {
        lanes = weights.map { LaneState(weight: max(1, $0)) }
        isStrict = weights.count < 2
    }

    /// Appends elements to a lane.
    ///
    /// Returns those not accepted because the scheduler is closed.
    mutating func offer(_ elements: some Collection<Element>, lane: Int) -> [Element] {
        guard !isClosed else { return Array(elements) }
        lanes[lane].waiting.append(contentsOf: elements)
        count += elements.count
        return []
    }

    /// Removes and returns the next element; `nil` if none waits.
    mutating func take() -> Element? {
        guard count > 0 else { return nil }
        let lane = isStrict ? firstBusyLane() : richestBusyLane()
        count -= 1
        let element = lanes[lane].waiting.removeFirst()
        if lanes[lane].waiting.isEmpty { lanes[lane].credit = 0 }
        return element
    }

    /// Removes and returns what waits in one lane, as when its consumer is lost and the broker has taken its deliveries
    /// back.
    mutating func removeAll(lane: Int) -> [Element] {
        let removed = Array(lanes[lane].waiting)
        lanes[lane].waiting.removeAll()
        lanes[lane].credit = 0
        count -= removed.count
        return removed
    }

    /// Closes the scheduler, and returns everything that waited.
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

/// A queue's deliveries waiting for a free slot, and its slots waiting for a delivery: a ``LaneScheduler`` behind a
/// lock.
///
/// Readers offer, slots take. It holds no more than the broker's prefetch lets in. Only ``close()`` ends the waiting of
/// a slot; cancellation doesn't, because shutdown closes before it cancels.
final class LaneQueue<Element: Sendable>: Sendable {
    private struct State: Sendable {
        var scheduler: LaneScheduler<Element>
        var idle: [CheckedContinuation<Element?, Never>] = []
    }

    private let state: Mutex<State>

    init(_ scheduler: LaneScheduler<Element>) {
        state = Mutex(State(scheduler: scheduler))
    }

    /// Passes elements to idle slots and keeps the rest.
    ///
    /// Returns those not accepted because the queue is closed.
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

    /// Returns the next element as soon as there is one; `nil` once the queue is closed.
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

    /// Removes and returns what waits in one lane.
    func removeAll(lane: Int) -> [Element] {
        state.withLock { $0.scheduler.removeAll(lane: lane) }
    }

    /// Closes the queue, lets the idle slots go, and returns everything that waited.
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
