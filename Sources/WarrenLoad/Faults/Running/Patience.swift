/// Waiting for what can only be looked at.
enum Patience {
    /// Waits until `condition` is true, looking some fifty times a second.
    ///
    /// - Throws: ``LoadError`` with what was waited for, when it takes longer than `limit`.
    static func wait(
        _ what: String,
        within limit: Duration,
        _ condition: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + limit
        while try await !condition() {
            guard ContinuousClock.now < end else { throw LoadError("Not seen within \(limit): \(what).") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
