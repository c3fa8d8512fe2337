import EmbeddedBroker

/// What a test left behind that its program would hold for ever.
public struct Leak: Sendable, Hashable, CustomStringConvertible {
    /// The broker's queue.
    public var queue: String
    /// How many consumers of it are still registered.
    public var consumers: Int
    /// How many of its deliveries were neither acknowledged nor given back.
    public var unsettled: Int

    /// What leaked, and what to do.
    public var description: String {
        """
        The test left \(consumers) consumer(s) and \(unsettled) unsettled delivery(ies) on the queue '\(queue)': end its workers, close its \
        streams, and settle what it got.
        """
    }
}

extension TestBench {
    /// The queues that still have consumers or unsettled deliveries.
    ///
    /// The trait checks it after each test. Jobs that are still enqueued are no leak: a test may be about just that.
    public func leaks() -> [Leak] {
        broker.queueNames.compactMap { queue in
            let leak = Leak(
                queue: queue,
                consumers: broker.consumerCount(of: queue),
                unsettled: broker.unsettledCount(of: queue)
            )
            return leak.consumers + leak.unsettled > 0 ? leak : nil
        }
    }
}
