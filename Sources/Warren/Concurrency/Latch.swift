import Synchronization

/// A door that opens once: what waits before it goes on then, and what comes later doesn't wait.
final class Latch: Sendable {
    private struct State: Sendable {
        var isOpen = false
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextID = 0
    }

    private let state = Mutex(State())

    var isOpen: Bool { state.withLock { $0.isOpen } }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            let waiting = state.waiting.values
            state.waiting = [:]
            return waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Waits until the door is open or the task is cancelled.
    func wait() async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mustWait = state.withLock { state in
                    if state.isOpen || Task.isCancelled { return false }
                    state.waiting[id] = continuation
                    return true
                }
                if !mustWait { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
        }
    }

    /// Waits until this door or the other is open, or the task is cancelled.
    func wait(or other: Latch) async {
        await withTaskGroup { group in
            group.addTask { await self.wait() }
            group.addTask { await other.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    /// Waits until the door is open, but no longer than `patience`, and not on after `other` is open.
    ///
    /// Returns whether it is open.
    func wait(for patience: Duration, clock: any Clock<Duration>, unless other: Latch? = nil) async -> Bool {
        if isOpen { return true }
        await withTaskGroup { group in
            group.addTask { await self.wait() }
            group.addTask { try? await clock.sleep(for: patience) }
            if let other { group.addTask { await other.wait() } }
            await group.next()
            group.cancelAll()
        }
        return isOpen
    }
}

/// Counts who is still at work, and opens a door when the last has left.
final class TaskTracker: Sendable {
    private let present = Atomic(0)
    /// Opens when the last one leaves.
    let over = Latch()

    func enter() { present.add(1, ordering: .relaxed) }

    func leave() {
        if present.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { over.open() }
    }
}
