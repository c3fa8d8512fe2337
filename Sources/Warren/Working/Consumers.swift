import AMQP
import Synchronization

/// The open consumers of a worker, so that shutdown finds them all.
final class Consumers: Sendable {
    private struct State: Sendable {
        var streams: [Int: DeliveryStream] = [:]
        var nextID = 0
        var isStopping = false
    }

    private let state = Mutex(State())
    /// Opens when the worker begins to stop.
    let stopping = Latch()

    var isStopping: Bool { stopping.isOpen }

    /// Registers a stream.
    ///
    /// `nil` if the worker is stopping: then nobody will look for it here.
    func add(_ stream: DeliveryStream) -> Int? {
        state.withLock { state in
            guard !state.isStopping else { return nil }
            state.nextID += 1
            state.streams[state.nextID] = stream
            return state.nextID
        }
    }

    func remove(_ id: Int) {
        state.withLock { _ = $0.streams.removeValue(forKey: id) }
    }

    /// Begins to stop: no stream is added any more.
    func stop() {
        state.withLock { $0.isStopping = true }
        stopping.open()
    }

    /// Asks the broker for no more deliveries, on all streams at once.
    func cancelAll() async {
        await withDiscardingTaskGroup { group in
            for stream in open { group.addTask { await stream.cancel() } }
        }
    }

    /// Ends all streams with their channels: what is unsettled goes back.
    func closeAll() async {
        await withDiscardingTaskGroup { group in
            for stream in open { group.addTask { await stream.close() } }
        }
    }

    private var open: [DeliveryStream] { state.withLock { Array($0.streams.values) } }
}
