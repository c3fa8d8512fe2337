/// Ends work that takes too long.
enum Deadline {
    /// The deadline passed, and the work was cancelled.
    struct Passed: Error {}

    /// Runs `work` and cancels it at `deadline`.
    ///
    /// - Parameter clock: The clock that what is left of the time passes by.
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
}
