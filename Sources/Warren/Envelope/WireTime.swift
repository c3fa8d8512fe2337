import AMQP

#if canImport(FoundationEssentials)
package import FoundationEssentials
#else
package import Foundation
#endif

/// Times as Celery writes and reads them: ISO 8601 text, to the microsecond.
///
/// Written by hand because each job's headers hold such times and a general formatter costs more than the rest of the
/// envelope. Dates are those of the proleptic Gregorian calendar; leap seconds don't exist, as in Unix time.
package enum WireTime {
    /// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z in Unix seconds: the range of four-digit years.
    private static let range: ClosedRange<Int64> = -62_135_596_800...253_402_300_799
    private static let secondsPerDay: Int64 = 86_400

    /// Microseconds since 1970, to the nearest; times beyond the years 1 to 9999 count as their ends.
    static func microseconds(_ date: Date) -> Int64 {
        let seconds = date.timeIntervalSince1970
        guard seconds > Double(range.lowerBound) else { return range.lowerBound * 1_000_000 }
        guard seconds < Double(range.upperBound) else { return range.upperBound * 1_000_000 }
        return Int64((seconds * 1_000_000).rounded())
    }

    /// The time this number of microseconds after 1970; `nil` beyond the years 1 to 9999.
    static func date(microseconds: Int64) -> Date? {
        guard range.contains(microseconds / 1_000_000) else { return nil }
        return Date(timeIntervalSince1970: Double(microseconds) / 1_000_000)
    }

    /// `2026-11-21T03:35:37.755313+00:00`, as Celery sends it.
    static func text(_ date: Date) -> String {
        let microseconds = microseconds(date)
        let (seconds, fraction) = microseconds.flooredDivision(by: 1_000_000)
        let (day, time) = seconds.flooredDivision(by: secondsPerDay)
        let (year, month, dayOfMonth) = civil(fromDay: day)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        append(year, digits: 4, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        append(month, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        append(dayOfMonth, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: "T"))
        append(time / 3_600, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        append(time / 60 % 60, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        append(time % 60, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: "."))
        append(fraction, digits: 6, to: &bytes)
        bytes.append(contentsOf: "+00:00".utf8)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads a time in any format that Celery's own reader accepts (and that producers send): extended or basic ISO
    /// 8601, `T` or a space, a date alone, 1 to 9 digits of fraction, `Z`, `+00:00`, `+0000`, `+00` or no offset, which
    /// means UTC.
    ///
    /// Fractions of a microsecond are cut off.
    package static func date(_ text: String) -> Date? {
        var reader = WireTimeReader(text)
        return reader?.read()
    }

    /// Reads a header: text, or an AMQP timestamp.
    static func date(_ value: FieldValue) -> Date? {
        switch value {
        case .string(let text): date(text)
        case .timestamp(let seconds): Int64(exactly: seconds).flatMap(date(seconds:))
        default: nil
        }
    }

    private static func date(seconds: Int64) -> Date? {
        range.contains(seconds) ? Date(timeIntervalSince1970: Double(seconds)) : nil
    }

    private static func append(_ number: Int64, digits: Int, to bytes: inout [UInt8]) {
        var divisor: Int64 = 1
        for _ in 1..<digits { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }

    // The two conversions count in years that begin on 1 March, so that the leap day comes last, and in eras of 400
    // years (146,097 days), in which the calendar repeats. Day 0 is 1970-01-01; 719,468 days before it is 0000-03-01.

    static func day(year: Int64, month: Int64, dayOfMonth: Int64) -> Int64 {
        let shiftedYear = month > 2 ? year : year - 1
        let (era, yearOfEra) = shiftedYear.flooredDivision(by: 400)
        let monthFromMarch = (month + 9) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + dayOfMonth - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    static func civil(fromDay day: Int64) -> (year: Int64, month: Int64, dayOfMonth: Int64) {
        let (era, dayOfEra) = (day + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfMonth)
    }
}

extension Int64 {
    /// Quotient and remainder with a remainder that is never negative.
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

/// Reads one ISO 8601 time from left to right.
///
/// A step that fails returns `nil`, and the whole text must be used up at the end.
private struct WireTimeReader {
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
