public import ArgumentParser

/// A length of time as a command line gives it: `90`, `90s`, `1.5h`, `1h30m`, `250ms`; a bare number is in seconds.
public struct DurationArgument: ExpressibleByArgument, Sendable, Hashable {
    /// The duration.
    public var duration: Duration

    /// A duration.
    public init(_ duration: Duration) { self.duration = duration }

    /// Reads a duration; `nil` if it isn't one, or negative, or longer than a thousand years.
    public init?(argument: String) {
        guard let seconds = Self.seconds(argument), seconds.isFinite, (0...3.2e10).contains(seconds) else { return nil }
        // Text has a limited number of digits, so whole microseconds are what was meant.
        duration = .microseconds(Int64((seconds * 1e6).rounded()))
    }

    private static let units: [String: Double] = ["ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400]

    private static func seconds(_ text: String) -> Double? {
        if let seconds = number(text[...]) { return seconds }
        var rest = text[...]
        var total = 0.0
        repeat {
            let digits = rest.prefix { $0.isNumber || $0 == "." }
            let unit = rest.dropFirst(digits.count).prefix { $0.isLetter }
            guard let count = number(digits), let factor = units[String(unit)] else { return nil }
            total += count * factor
            rest = rest.dropFirst(digits.count + unit.count)
        } while !rest.isEmpty
        return total
    }

    /// A decimal number without sign or exponent.
    private static func number(_ text: Substring) -> Double? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2E }) else { return nil }
        return Double(text)
    }

    /// The duration as help texts show it.
    public var defaultValueDescription: String { "\(duration / .seconds(1))s" }
}
