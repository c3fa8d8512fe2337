import Synchronization

/// Runs a handler within its time limits.
struct LimitedAttempt: Sendable {
    private enum Event: Sendable {
        case ended(AttemptResult)
        case limit
        /// A limit's clock was stopped.
        case stopped
    }

    let limits: TimeLimits
    let clock: any Clock<Duration>

    /// Runs `body`, whose task is cancelled at the soft limit, and returns how it ended.
    ///
    /// At the hard limit `body` is cancelled and `giveUp` is called; this still returns only when `body` does.
    func run(
        _ body: @escaping @Sendable () async -> AttemptResult,
        giveUp: @escaping @Sendable (JobTimeLimitExceeded) async -> Void
    ) async -> AttemptResult {
        guard let hard = limits.hard else { return await runToSoftLimit(body) }
        return await withTaskGroup(of: Event.self) { group in
            group.addTask { .ended(await runToSoftLimit(body)) }
            group.addTask { await wait(for: hard) }
            while let event = await group.next() {
                switch event {
                case .ended(let ending):
                    group.cancelAll()
                    return ending
                case .limit:
                    group.cancelAll()
                    await giveUp(.hard(hard))
                case .stopped: continue
                }
            }
            preconditionFailure("A handler's task returns how it ended.")
        }
    }

    private func runToSoftLimit(_ body: @escaping @Sendable () async -> AttemptResult) async -> AttemptResult {
        guard let soft = limits.soft else { return await body() }
        return await withTaskGroup(of: Event.self) { group in
            group.addTask { .ended(await body()) }
            group.addTask { await wait(for: soft) }
            var isOver = false
            while let event = await group.next() {
                switch event {
                case .ended(let ending):
                    group.cancelAll()
                    return isOver ? judge(ending, soft) : ending
                case .limit:
                    isOver = true
                    group.cancelAll()
                case .stopped: continue
                }
            }
            preconditionFailure("A handler's task returns how it ended.")
        }
    }

    /// What an ending after the soft limit means.
    private func judge(_ ending: AttemptResult, _ soft: Duration) -> AttemptResult {
        switch ending {
        case .threw, .interrupted: .threw(JobTimeLimitExceeded.soft(soft))
        default: ending
        }
    }

    private func wait(for limit: Duration) async -> Event {
        do {
            try await clock.sleep(for: limit)
            return .limit
        } catch {
            return .stopped
        }
    }
}
