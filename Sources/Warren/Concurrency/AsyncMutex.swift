import Synchronization

/// A lock that is held across suspensions: one caller at a time runs, and the others wait in the order of their calls.
final class AsyncMutex: Sendable {
    private struct State {
        var isLocked = false
        var nextID: UInt64 = 0
        var waiting: [(id: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
    }

    private let state = Mutex(State())

    /// Runs `body` while it holds the lock.
    ///
    /// - Throws: `CancellationError` if the task is cancelled while it waits; else what `body` throws.
    func withLock<Value>(_ body: () async throws -> Value) async throws -> Value {
        guard await lock() else { throw CancellationError() }
        defer { unlock() }
        return try await body()
    }

    /// Returns false if the task was cancelled before it got the lock.
    private func lock() async -> Bool {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLock { state in
                    if Task.isCancelled { return false }
                    if !state.isLocked {
                        state.isLocked = true
                        return true
                    }
                    state.waiting.append((id, continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.waiting.firstIndex { $0.id == id }.map { state.waiting.remove(at: $0) }
            }
            waiter?.continuation.resume(returning: false)
        }
    }

    /// Passes the lock to the next waiter, so that no later caller overtakes it.
    private func unlock() {
        let next = state.withLock { state in
            if state.waiting.isEmpty {
                state.isLocked = false
                return nil as CheckedContinuation<Bool, Never>?
            }
            return state.waiting.removeFirst().continuation
        }
        next?.resume(returning: true)
    }
}
