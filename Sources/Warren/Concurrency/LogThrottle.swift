import Synchronization

/// Limits how often a log says the same: a number of times a minute, and the next time how often it was left out.
final class LogThrottle: Sendable {
    private struct Entry: Sendable {
        var since: ContinuousClock.Instant
        var logged = 0
        var leftOut = 0
    }

    /// The number of things that are counted separately; beyond it they count as one.
    private static let capacity = 1_000
    private static let interval = Duration.seconds(60)

    private let entries = Mutex<[String: Entry]>([:])

    /// Returns how often the thing was left out since it was last logged; `nil` if it is to be left out now.
    ///
    /// - Parameters:
    ///   - thing: What is to be logged.
    ///   - limit: The number of times that it is logged in a minute.
    ///   - now: The present.
    func leftOut(_ thing: String, limit: Int = 1, now: ContinuousClock.Instant = .now) -> Int? {
        entries.withLock { entries in
            let key = entries[thing] == nil && entries.count >= Self.capacity ? "" : thing
            var entry = entries[key] ?? Entry(since: now)
            defer { entries[key] = entry }
            if entry.since.duration(to: now) >= Self.interval {
                entry.since = now
                entry.logged = 0
            }
            guard entry.logged < limit else {
                entry.leftOut += 1
                return nil
            }
            entry.logged += 1
            defer { entry.leftOut = 0 }
            return entry.leftOut
        }
    }
}
