#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Arithmetic of delays, due times and expiries, with the limits of each.
enum Timing {
    /// When a job is due; `nil` for at once.
    ///
    /// - Throws: `invalidDelay` for a negative delay, one beyond the ladder's, or both ways of saying it.
    static func due(delay: Duration?, at date: Date?, now: Date) throws(WarrenError) -> Date? {
        let wait: Duration
        switch (delay, date) {
        case (nil, nil): return nil
        case (let delay?, nil): wait = delay
        case (nil, let date?): wait = duration(from: now, to: date)
        case (_?, _?): throw WarrenError(.invalidDelay, "A job has a delay or a time at which it is due, not both.")
        }
        if delay != nil, wait < .zero { throw WarrenError(.invalidDelay, "The delay is negative: \(wait).") }
        guard wait <= RetryPolicy.longestDelay else {
            throw WarrenError(.invalidDelay, "The delay is longer than 2^28 - 1 seconds, about eight and a half years.")
        }
        return wait <= .zero ? nil : date ?? now.addingTimeInterval(wait / .seconds(1))
    }

    /// When a job expires that is worth starting for so long after it is due.
    static func expiry(after timeToLive: Duration?, due: Date?, now: Date) -> Date? {
        timeToLive.map { (due ?? now).addingTimeInterval(max(.zero, $0) / .seconds(1)) }
    }

    /// How long it is from one time to another; a time that is no number counts as now, one beyond a millennium as that.
    static func duration(from now: Date, to date: Date) -> Duration {
        let seconds = date.timeIntervalSince(now)
        guard !seconds.isNaN else { return .zero }
        return .seconds(min(max(seconds, -31_556_952_000), 31_556_952_000))
    }

    /// The instant after a duration, of which more than a year counts as a year.
    static func instant(after duration: Duration) -> ContinuousClock.Instant {
        .now + min(max(duration, .zero), .seconds(31_556_952))
    }
}
