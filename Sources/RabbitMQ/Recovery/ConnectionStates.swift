import AMQP
import Synchronization

/// The states of a client's connections, and the streams that report their changes.
final class ConnectionStates: Sendable {
    /// The number of changes that a slow watcher may be behind; beyond it, the watcher misses the oldest.
    private static let backlog = 16

    private struct State {
        var publishing = ConnectionState.idle
        var consuming = ConnectionState.idle
        /// The number of the newest connection for each purpose.
        var newest: [ConnectionPurpose: Int] = [:]
        var watchers: [Int: AsyncStream<TransportHealth>.Continuation] = [:]
        var nextWatcher = 0
        var isFinished = false

        var health: TransportHealth { TransportHealth(publishing: publishing, consuming: consuming) }
    }

    private let state = Mutex(State())

    /// The present states.
    var health: TransportHealth { state.withLock(\.health) }

    /// Begins a new connection, and returns its number: from now on, the states of earlier ones for the same purpose
    /// don't count, such as the end of one that is being closed.
    func begin(_ purpose: ConnectionPurpose) -> Int {
        state.withLock { state in
            state.newest[purpose, default: 0] += 1
            return state.newest[purpose, default: 0]
        }
    }

    /// Sets the state of a connection, and reports it to the watchers if it is new.
    func set(_ new: ConnectionState, of purpose: ConnectionPurpose, number: Int) {
        // Under the lock, so that watchers see the changes in order; yielding only adds to a watcher's buffer.
        state.withLock { state in
            guard number == state.newest[purpose] else { return }
            let old = purpose == .publishing ? state.publishing : state.consuming
            guard old != new else { return }
            if purpose == .publishing { state.publishing = new } else { state.consuming = new }
            for watcher in state.watchers.values { watcher.yield(state.health) }
        }
    }

    /// Ends all streams: there will be no more changes.
    func finish() {
        let watchers = state.withLock { state in
            state.isFinished = true
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.finish() }
    }

    /// Returns a stream of the present states and each later change, until the watching task or the client ends.
    func watch() -> AsyncStream<TransportHealth> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: TransportHealth.self,
            bufferingPolicy: .bufferingNewest(Self.backlog)
        )
        let id = state.withLock { state in
            state.nextWatcher += 1
            state.watchers[state.nextWatcher] = continuation
            continuation.yield(state.health)
            if state.isFinished { continuation.finish() }
            return state.nextWatcher
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.watchers.removeValue(forKey: id) }
        }
        return stream
    }
}

/// The purpose of a connection.
enum ConnectionPurpose: String, Sendable {
    case publishing = "publish"
    case consuming = "consume"
}
