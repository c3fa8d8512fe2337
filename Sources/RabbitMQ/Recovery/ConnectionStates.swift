import AMQP
import Synchronization

/// The states of a client's connections, and who watches them.
final class ConnectionStates: Sendable {
    /// How many changes a slow watcher may be behind; then it misses the oldest.
    private static let backlog = 16

    private struct State {
        var publishing = ConnectionState.idle
        var consuming = ConnectionState.idle
        var watchers: [Int: AsyncStream<TransportHealth>.Continuation] = [:]
        var nextWatcher = 0

        var health: TransportHealth { TransportHealth(publishing: publishing, consuming: consuming) }
    }

    private let state = Mutex(State())

    /// The states now.
    var health: TransportHealth { state.withLock(\.health) }

    /// Notes a change.
    func set(_ new: ConnectionState, of purpose: ConnectionPurpose) {
        // Under the lock, so that watchers see the changes in their order; a watcher only takes it into its buffer.
        state.withLock { state in
            let old = purpose == .publishing ? state.publishing : state.consuming
            guard old != new else { return }
            if purpose == .publishing { state.publishing = new } else { state.consuming = new }
            for watcher in state.watchers.values { watcher.yield(state.health) }
        }
    }

    /// The states now and whenever one changes, until the watching task ends.
    func watch() -> AsyncStream<TransportHealth> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: TransportHealth.self,
            bufferingPolicy: .bufferingNewest(Self.backlog)
        )
        let id = state.withLock { state in
            state.nextWatcher += 1
            state.watchers[state.nextWatcher] = continuation
            continuation.yield(state.health)
            return state.nextWatcher
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.watchers.removeValue(forKey: id) }
        }
        return stream
    }
}

/// What a connection is for.
enum ConnectionPurpose: String, Sendable {
    case publishing = "publish"
    case consuming = "consume"
}
