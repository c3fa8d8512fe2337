import AMQP
import Synchronization

/// The open consumers of a worker, so that shutdown finds them all.
final class Consumers: Sendable {
    private struct State: Sendable {
        var streams: [Int: (stream: DeliveryStream, queue: String)] = [:]
        /// The broker's queues that are deliberately not consumed.
        var paused: Set<String> = []
        /// The reasons why some of the broker's queues can't be consumed.
        var problems: [String: String] = [:]
        var nextID = 0
        var isStopping = false
    }

    private let state = Mutex(State())
    /// Opens when the worker begins to stop.
    let stopping = Latch()

    var isStopping: Bool { stopping.isOpen }

    /// Registers a stream of one of the broker's queues.
    ///
    /// Returns `nil` if the worker is stopping: then nobody will look for the stream here.
    func add(_ stream: DeliveryStream, of queue: String) -> Int? {
        state.withLock { state in
            guard !state.isStopping else { return nil }
            state.nextID += 1
            state.streams[state.nextID] = (stream, queue)
            return state.nextID
        }
    }

    func remove(_ id: Int) {
        state.withLock { _ = $0.streams.removeValue(forKey: id) }
    }

    /// Notes whether one of the broker's queues is deliberately not consumed, which health checks must not take for a
    /// fault.
    func setPaused(_ isPaused: Bool, queue: String) {
        state.withLock { state in
            if isPaused { state.paused.insert(queue) } else { state.paused.remove(queue) }
        }
    }

    /// Notes why one of the broker's queues can't be consumed; `nil` once it can.
    func setProblem(_ problem: String?, queue: String) {
        state.withLock { $0.problems[queue] = problem }
    }

    /// The broker's queues whose consumers are registered, those that are deliberately not consumed, and the reasons
    /// why others can't be.
    func health() -> (registered: Set<String>, paused: Set<String>, problems: [String: String]) {
        let (streams, paused, problems) = state.withLock { state in
            (state.streams.values.map { ($0.stream, $0.queue) }, state.paused, state.problems)
        }
        return (Set(streams.filter { $0.0.isRegistered }.map(\.1)), paused, problems)
    }

    /// Begins to stop: from now on no stream can be added.
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

    /// Ends all streams with their channels: the broker requeues what is unsettled.
    func closeAll() async {
        await withDiscardingTaskGroup { group in
            for stream in open { group.addTask { await stream.cancel(requeuesUnsettled: true) } }
        }
    }

    private var open: [DeliveryStream] { state.withLock { $0.streams.values.map(\.stream) } }
}
