extension Duration {
    /// The number of milliseconds, rounded up, and no more than an `Int64` holds.
    var millisecondsRoundedUp: Int64 { whole(unitsPerSecond: 1000) }

    /// The number of seconds, rounded up.
    var secondsRoundedUp: Int64 { whole(unitsPerSecond: 1) }

    private func whole(unitsPerSecond: Int64) -> Int64 {
        let (seconds, attoseconds) = components
        let unit = 1_000_000_000_000_000_000 / unitsPerSecond
        let part = attoseconds / unit + (attoseconds % unit > 0 ? 1 : 0)
        let (units, tooLarge) = seconds.multipliedReportingOverflow(by: unitsPerSecond)
        let (sum, alsoTooLarge) = units.addingReportingOverflow(part)
        guard tooLarge || alsoTooLarge else { return sum }
        return seconds < 0 ? .min : .max
    }
}
