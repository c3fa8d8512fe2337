import AMQP
public import ArgumentParser
package import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A duration on the command line: `90`, `90s`, `1.5h`, `1h30m`, `250ms`; a bare number is in seconds.
public struct DurationArgument: ExpressibleByArgument, Sendable, Hashable {
    /// The duration.
    public var duration: Duration

    /// Creates the argument from a duration, for a default value.
    public init(_ duration: Duration) { self.duration = duration }

    /// Parses a duration; `nil` if the text isn't one, or the duration is negative or longer than a thousand years.
    public init?(argument: String) {
        guard let seconds = Self.seconds(argument), seconds.isFinite, (0...3.2e10).contains(seconds) else { return nil }
        // Nobody types more than microseconds; rounding to them undoes the error of binary fractions.
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

    /// Parses a decimal number without sign or exponent.
    private static func number(_ text: Substring) -> Double? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2E }) else { return nil }
        return Double(text)
    }

    /// The duration as help texts show it.
    public var defaultValueDescription: String { "\(duration / .seconds(1))s" }
}

/// A point in time on the command line, in RFC 3339's form: `2026-11-21T06:30:00Z`, `2026-11-21T07:30:00.5+01:00`.
struct InstantArgument: ExpressibleByArgument, Sendable, Hashable {
    var date: Date

    /// Parses a point in time; `nil` if the text isn't one, or says no offset from UTC, which would leave it to guess.
    init?(argument: String) {
        let form = /\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})/
        guard argument.wholeMatch(of: form) != nil, let date = WireTime.date(argument) else { return nil }
        self.date = date
    }
}

/// A header on the command line: `NAME=VALUE`, where the value is text and may hold further `=`.
struct HeaderArgument: Sendable, Hashable {
    var name: String
    var value: String

    /// Parses a header.
    ///
    /// - Throws: `ValidationError` for a text without `=`, a name that AMQP can't carry, or one that is the protocol's.
    init(argument: String) throws {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else {
            throw ValidationError("'\(argument)' is not a header. Write its name, '=', and its value: tenant=acme")
        }
        (name, value) = (parts[0], parts[1])
        guard (1...255).contains(name.utf8.count) else {
            throw ValidationError("The name of the header '\(argument)' must have 1 to 255 bytes.")
        }
        guard !EnvelopeHeader.protected.contains(name) else {
            throw ValidationError("The header '\(name)' is the protocol's own, and can't be set. Choose another name.")
        }
    }

    /// The headers as a table.
    ///
    /// - Throws: `ValidationError` if a name is given twice.
    static func table(_ headers: [HeaderArgument]) throws -> FieldTable {
        var table = FieldTable()
        for header in headers {
            guard table[header.name] == nil else {
                throw ValidationError("The header '\(header.name)' is given twice.")
            }
            table[header.name] = .string(header.value)
        }
        return table
    }
}

/// A number of bytes on the command line: `512MiB`, `2GiB`, `64KiB`, or a bare number of bytes.
struct ByteCountArgument: ExpressibleByArgument, Sendable, Hashable {
    var bytes: Int

    /// Parses a number of bytes; `nil` if the text isn't one, or the number is zero or overflows.
    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let units = ["": 0, "KiB": 10, "MiB": 20, "GiB": 30]
        guard let count = Int(digits), count > 0, let shift = units[String(argument.dropFirst(digits.count))] else {
            return nil
        }
        let (bytes, overflows) = count.multipliedReportingOverflow(by: 1 << shift)
        guard !overflows else { return nil }
        self.bytes = bytes
    }
}

extension LanePolicy {
    /// Parses `strict`, or `weighted` with weights for some lanes: `weighted:high=6,normal=3,low=1`.
    ///
    /// - Throws: `ValidationError` that quotes the part that is invalid.
    init(argument: String) throws {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        switch (parts[0], parts.count) {
        case ("strict", 1): self = .strict
        case ("weighted", 1): self = .weighted([:])
        case ("weighted", 2): self = .weighted(try Self.weights(parts[1]))
        default: throw ValidationError("'\(argument)' is neither 'strict' nor 'weighted:high=6,normal=3,low=1'.")
        }
    }

    private static func weights(_ text: Substring) throws -> [Lane: Int] {
        var weights: [Lane: Int] = [:]
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let weight = Int(parts[1]), weight > 0 else {
                throw ValidationError("'\(word)' is not the weight of a lane, such as high=6.")
            }
            weights[try Lane(argument: String(parts[0]))] = weight
        }
        return weights
    }
}

extension Lane {
    /// Parses a lane's name.
    ///
    /// - Throws: `ValidationError` that lists the lanes.
    package init(argument: String) throws {
        guard let lane = Lane(named: argument) else {
            let names = Lane.all.map(\.name).joined(separator: ", ")
            throw ValidationError("There is no lane '\(argument)'. The lanes are: \(names).")
        }
        self = lane
    }
}
