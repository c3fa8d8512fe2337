import Synchronization

/// Deliveries that are due within a second, each with the time that is left.
///
/// They occupy no slot, so others run meanwhile.
///
/// They do count towards the prefetch. So only as many are held as leave half of it free; what is beyond that goes down the ladder's
/// lowest level instead, and comes back less than a second late.
final class DelayedDeliveries: Sendable {
    typealias Entry = (item: LaneDelivery, delay: Duration)

    /// How many wait here.
    var waiting: Int { count.load(ordering: .relaxed) }

    private let capacity: Int
    private let count = Atomic(0)
    private let entries: AsyncStream<Entry>
    private let feed: AsyncStream<Entry>.Continuation

    init(capacity: Int) {
        self.capacity = capacity
        (entries, feed) = AsyncStream.makeStream(of: Entry.self)
    }

    /// Takes a delivery to be offered again after `delay`.
    ///
    /// False if there is no room.
    func hold(_ item: LaneDelivery, for delay: Duration) -> Bool {
        guard count.add(1, ordering: .relaxed).newValue <= capacity else {
            count.subtract(1, ordering: .relaxed)
            return false
        }
        feed.yield((item, delay))
        return true
    }

    /// Waits for each delivery's time, and then gives it to `release`; at the end of the world, as `isEnding` says,
    /// gives it to `requeue`.
    ///
    /// Returns after ``finish()``.
    func run(
        until ending: Latch,
        clock: any Clock<Duration>,
        release: @escaping @Sendable (LaneDelivery) -> Void,
        requeue: @escaping @Sendable (LaneDelivery) -> Void
    ) async {
        await withDiscardingTaskGroup { group in
            for await entry in entries {
                group.addTask {
                    let isEnding = await ending.wait(for: entry.delay, clock: clock)
                    self.count.subtract(1, ordering: .relaxed)
                    if isEnding { requeue(entry.item) } else { release(entry.item) }
                }
            }
        }
    }

    /// Takes no more.
    func finish() { feed.finish() }
}
