import Logging
import Synchronization
import Warren

/// The reasons, apart from signals, for which a worker's process stops in order: its supervisor says so, or it has done enough.
final class StopRequest: Sendable {
    private let isSupervised: Bool
    private let policy: RecyclingPolicy
    private let logger: Logger
    private let isDueForRecycling = Atomic(false)

    init(isSupervised: Bool, policy: RecyclingPolicy, logger: Logger) {
        self.isSupervised = isSupervised
        self.policy = policy
        self.logger = logger
    }

    /// True if the process stops because it has done enough.
    var isRecycled: Bool { isDueForRecycling.load(ordering: .acquiring) }

    /// Waits until there is a reason.
    ///
    /// Returns false if there can be none, or the task was cancelled first.
    func wait(for worker: Worker) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            if isSupervised { group.addTask { await SupervisorLink().waitUntilClosed() } }
            if !policy.isEmpty { group.addTask { await self.recycle(worker) } }
            let isAsked = await group.next() ?? false
            group.cancelAll()
            return isAsked
        }
    }

    private func recycle(_ worker: Worker) async -> Bool {
        guard let reason = await policy.waitUntilDue(worker) else { return false }
        logger.info("The process has done enough and ends", metadata: ["reason": "\(reason)"])
        isDueForRecycling.store(true, ordering: .releasing)
        return true
    }
}
