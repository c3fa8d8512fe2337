import Synchronization

/// The way in which a part of a worker ends the whole of it.
final class WorkerEnd: Sendable {
    private let failure = Mutex<WarrenError?>(nil)
    private let consumers: Consumers

    init(_ consumers: Consumers) { self.consumers = consumers }

    /// Why the worker ends, if not because it was told to.
    var error: WarrenError? { failure.withLock { $0 } }

    /// Begins to stop in order, for a reason that ``Worker/run()`` then throws; the first reason counts.
    func fail(_ error: WarrenError) {
        failure.withLock { if $0 == nil { $0 = error } }
        consumers.stop()
    }
}
