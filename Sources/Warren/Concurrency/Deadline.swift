/// Cancels work that takes too long.
enum Deadline {
    /// The deadline passed, and the work was cancelled.
    struct Passed: Error {}

    /// Runs `work` and cancels it at `deadline`.
    ///
    /// - Parameters:
    ///   - deadline: The time at which the work is cancelled.
    ///   - clock: The clock that measures the time left.
    ///   - work: The work.
    /// - Throws: ``Passed``, or what `work` throws.
    static func run(
        until deadline: ContinuousClock.Instant,
        clock: any Clock<Duration>,
        _ work: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await work() }
            group.addTask {
                try await clock.sleep(for: ContinuousClock.now.duration(to: deadline))
                throw Passed()
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// The deadline after `timeout`, of which more than a year counts as a year.
    static func instant(after timeout: Duration) -> ContinuousClock.Instant {
        .now + min(max(timeout, .zero), .seconds(31_556_952))
    }
}
