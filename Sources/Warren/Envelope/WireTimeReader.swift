#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Reads one ISO 8601 time from left to right.
///
/// Every failed step gives `nil`, and nothing is left over at the end.
struct WireTimeReader {
    private let bytes: [UInt8]
    private var position = 0

    /// `nil` for a text that is too long to be a time.
    init?(_ text: String) {
        guard text.utf8.count <= 40 else { return nil }
        bytes = Array(text.utf8)
    }

    mutating func read() -> Date? {
        guard let day = readDay() else { return nil }
        var seconds = day * 86_400
        var fraction = 0.0
        if position < bytes.count {
            guard take("T") || take("t") || take(" "), let time = readTime() else { return nil }
            fraction = time.fraction
            guard let offset = readOffset() else { return nil }
            seconds += time.seconds - offset
        }
        guard position == bytes.count else { return nil }
        return Date(timeIntervalSince1970: Double(seconds) + fraction)
    }

    private mutating func readDay() -> Int64? {
        guard let year = readNumber(digits: 4), year >= 1 else { return nil }
        let isExtended = take("-")
        guard let month = readNumber(digits: 2), (1...12).contains(month) else { return nil }
        if isExtended, !take("-") { return nil }
        guard let day = readNumber(digits: 2), day >= 1, day <= length(ofMonth: month, year: year) else { return nil }
        return WireTime.day(year: year, month: month, dayOfMonth: day)
    }

    private mutating func readTime() -> (seconds: Int64, fraction: Double)? {
        guard let hour = readNumber(digits: 2), hour < 24 else { return nil }
        let isExtended = take(":")
        guard let minute = readNumber(digits: 2), minute < 60 else { return nil }
        guard isExtended ? take(":") : isAtDigit else { return (hour * 3_600 + minute * 60, 0) }
        guard let second = readNumber(digits: 2), second < 60 else { return nil }
        guard let fraction = readFraction() else { return nil }
        return (hour * 3_600 + minute * 60 + second, fraction)
    }

    private mutating func readFraction() -> Double? {
        guard take(".") || take(",") else { return 0 }
        var microseconds: Int64 = 0
        var digits = 0
        while isAtDigit, let digit = readNumber(digits: 1) {
            digits += 1
            if digits <= 6 { microseconds = microseconds * 10 + digit }
        }
        guard (1...9).contains(digits) else { return nil }
        for _ in min(digits, 6)..<6 { microseconds *= 10 }
        return Double(microseconds) / 1_000_000
    }

    /// The offset from UTC in seconds, positive east of it; 0 if none is written.
    private mutating func readOffset() -> Int64? {
        if position == bytes.count || take("Z") || take("z") { return 0 }
        let sign: Int64 = take("-") ? -1 : 1
        if sign == 1, !take("+") { return nil }
        guard let hours = readNumber(digits: 2), hours < 24 else { return nil }
        if position == bytes.count { return sign * hours * 3_600 }
        _ = take(":")
        guard let minutes = readNumber(digits: 2), minutes < 60 else { return nil }
        return sign * (hours * 3_600 + minutes * 60)
    }

    private func length(ofMonth month: Int64, year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private var isAtDigit: Bool {
        position < bytes.count && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position])
    }

    private mutating func readNumber(digits: Int) -> Int64? {
        var number: Int64 = 0
        for _ in 0..<digits {
            guard isAtDigit else { return nil }
            number = number * 10 + Int64(bytes[position] - UInt8(ascii: "0"))
            position += 1
        }
        return number
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }
}
