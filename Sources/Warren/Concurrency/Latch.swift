import Synchronization

/// A one-shot event.
///
/// `wait()` suspends until `open()` is called, and returns immediately after that.
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

    /// Waits until the latch is open or the task is cancelled.
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

    /// Waits until this latch or the other is open, or the task is cancelled.
    func wait(or other: Latch) async {
        await withTaskGroup { group in
            group.addTask { await self.wait() }
            group.addTask { await other.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    /// Waits until the latch is open, for at most `timeout`, and no longer than until `other` is open.
    ///
    /// Returns true if the latch is open.
    func wait(for timeout: Duration, clock: any Clock<Duration>, unless other: Latch? = nil) async -> Bool {
        if isOpen { return true }
        await withTaskGroup { group in
            group.addTask { await self.wait() }
            group.addTask { try? await clock.sleep(for: timeout) }
            if let other { group.addTask { await other.wait() } }
            await group.next()
            group.cancelAll()
        }
        return isOpen
    }
}

/// Counts running tasks, and opens a latch when the last one has left.
final class TaskTracker: Sendable {
    private let running = Atomic(0)
    /// Opens when the last task leaves.
    let done = Latch()

    func enter() { running.add(1, ordering: .relaxed) }

    func leave() {
        if running.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { done.open() }
    }
}
