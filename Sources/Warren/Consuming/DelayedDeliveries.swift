import Synchronization

/// Deliveries that are due within a second, each waiting in the worker for the time that is left.
///
/// They occupy no slot, so other jobs run in the meantime, but they count towards the prefetch. So only as many wait
/// here as leave half of the prefetch free; the rest go to the lowest level of the delay ladder, and return less than a
/// second late.
final class DelayedDeliveries: Sendable {
    private typealias Entry = (item: LaneDelivery, delay: Duration)

    /// The number of deliveries that wait here.
    var waiting: Int { count.load(ordering: .relaxed) }

    private let capacity: Int
    private let count = Atomic(0)
    private let entries: AsyncStream<Entry>
    private let continuation: AsyncStream<Entry>.Continuation

    init(capacity: Int) {
        self.capacity = capacity
        (entries, continuation) = AsyncStream.makeStream(of: Entry.self)
    }

    /// Keeps a delivery for `delay`.
    ///
    /// Returns false if there is no room.
    func delay(_ item: LaneDelivery, for delay: Duration) -> Bool {
        guard count.add(1, ordering: .relaxed).newValue <= capacity else {
            count.subtract(1, ordering: .relaxed)
            return false
        }
        continuation.yield((item, delay))
        return true
    }

    /// Passes each delivery to `release` when it is due, or to `requeue` if `stopping` opens before.
    ///
    /// Returns after ``finish()``.
    func run(
        until stopping: Latch,
        clock: any Clock<Duration>,
        release: @escaping @Sendable (LaneDelivery) -> Void,
        requeue: @escaping @Sendable (LaneDelivery) -> Void
    ) async {
        await withDiscardingTaskGroup { group in
            for await entry in entries {
                group.addTask {
                    let isStopping = await stopping.wait(for: entry.delay, clock: clock)
                    self.count.subtract(1, ordering: .relaxed)
                    if isStopping { requeue(entry.item) } else { release(entry.item) }
                }
            }
        }
    }

    /// Accepts no more deliveries.
    func finish() { continuation.finish() }
}
