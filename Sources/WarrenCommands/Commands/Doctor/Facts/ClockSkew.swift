/// By how much the broker's clock may differ from this machine's: ahead of it where positive.
struct ClockSkew: Sendable, Hashable {
    /// The least and the most that it can be, in seconds.
    var range: ClosedRange<Double>

    /// A skew within these bounds.
    init(_ range: ClosedRange<Double>) { self.range = range }

    /// What an HTTP response's `Date` tells.
    ///
    /// The header has whole seconds, and the server may keep it for one: when it was sent, the broker's clock showed `date` or up to two
    /// seconds more.
    ///
    /// - Parameter date: The header, in seconds since 1970.
    /// - Parameter sent: When the request went out, by the clock here.
    /// - Parameter received: When the response was there.
    init(date: Double, sent: Double, received: Double) {
        range = (date - max(sent, received))...(date + 2 - min(sent, received))
    }

    /// What it is at least, whichever way; 0 if the clocks may agree.
    var least: Double { range.contains(0) ? 0 : min(abs(range.lowerBound), abs(range.upperBound)) }

    /// Whether the broker's clock is ahead.
    var isAhead: Bool { range.lowerBound > 0 }
}
