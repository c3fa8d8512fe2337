/// Remembers when a worker was last in order, and decides whether it still counts as live.
struct Liveness: Sendable {
    private var lastInOrder: ContinuousClock.Instant?

    /// Notes how the worker is, and returns whether it counts as live.
    ///
    /// The first look counts as the start.
    mutating func note(isInOrder: Bool, at now: ContinuousClock.Instant, grace: Duration) -> Bool {
        guard !isInOrder, let last = lastInOrder else {
            lastInOrder = max(lastInOrder ?? now, now)
            return true
        }
        return last.duration(to: now) <= grace
    }
}
