import Synchronization

/// A shortage during which a broker takes no publishes.
public struct BrokerAlarm: Sendable, Hashable {
    /// The reason that publishers are given.
    public let reason: String

    /// An alarm with a reason of your own.
    public init(reason: String) { self.reason = reason }

    /// The broker is low on memory.
    public static let memory = BrokerAlarm(reason: "low on memory")
    /// The broker is low on disk space.
    public static let disk = BrokerAlarm(reason: "low on disk")
}

/// Holds publishes back while an alarm is on.
final class PublishGate: Sendable {
    private struct State: Sendable {
        var alarms: Set<BrokerAlarm> = []
        var waiting: [Int: CheckedContinuation<Bool, Never>] = [:]
        var nextNumber = 0
    }

    private let state = Mutex(State())
    /// True if any alarm is on, readable without the lock.
    private let isClosed = Atomic(false)

    init() {}

    /// The reason why publishes wait; `nil` if they don't.
    var reason: String? {
        guard isClosed.load(ordering: .acquiring) else { return nil }
        return state.withLock { $0.alarms.map(\.reason).sorted().joined(separator: " & ") }
    }

    func set(_ alarm: BrokerAlarm) {
        state.withLock { state in
            state.alarms.insert(alarm)
            isClosed.store(true, ordering: .releasing)
        }
    }

    /// Clears an alarm, or all of them; once none is left, waiting publishes go on.
    func clear(_ alarm: BrokerAlarm?) {
        let waiting = state.withLock { state -> [CheckedContinuation<Bool, Never>] in
            if let alarm { state.alarms.remove(alarm) } else { state.alarms = [] }
            guard state.alarms.isEmpty else { return [] }
            isClosed.store(false, ordering: .releasing)
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume(returning: true) }
    }

    /// Waits until no alarm is on; returns false if one still is at the deadline, or if the task is cancelled.
    func wait(until deadline: ContinuousClock.Instant) async -> Bool {
        if !isClosed.load(ordering: .acquiring) { return true }
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask { await self.waitForOpening() }
            group.addTask {
                try? await ContinuousClock().sleep(until: deadline)
                return false
            }
            let isOpen = await group.next() ?? false
            group.cancelAll()
            return isOpen
        }
    }

    private func waitForOpening() async -> Bool {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Bool? in
                    if state.alarms.isEmpty { return true }
                    if Task.isCancelled { return false }
                    state.waiting[number] = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(returning: false)
        }
    }
}
