#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Makes and checks ids of jobs.
///
/// An id is a UUID of version 7 (RFC 9562, section 5.7) in lower case: it begins with the time, so that lists of ids sort by age.
enum JobID {
    static let maximumLength = 255

    /// A new id.
    static func make(now: Date) -> String {
        var generator = SystemRandomNumberGenerator()
        return make(now: now, using: &generator)
    }

    static func make(now: Date, using generator: inout some RandomNumberGenerator) -> String {
        let milliseconds = UInt64(clamping: WireTime.microseconds(now) / 1_000)
        let high = milliseconds << 16 | 0x7000 | generator.next() & 0x0FFF
        let low = 0x8000_0000_0000_0000 | generator.next() >> 2
        var bytes: [UInt8] = []
        bytes.reserveCapacity(36)
        for digit in 0..<32 {
            if digit == 8 || digit == 12 || digit == 16 || digit == 20 { bytes.append(UInt8(ascii: "-")) }
            let word = digit < 16 ? high : low
            let nibble = UInt8(truncatingIfNeeded: word >> UInt64(60 - digit % 16 * 4)) & 0xF
            bytes.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// - Throws: `invalidJobID` if a caller's own id is empty, too long for a message's properties, or has a control character.
    static func validate(_ id: String) throws(WarrenError) {
        let problem: String
        if id.isEmpty {
            problem = "is empty"
        } else if id.utf8.count > maximumLength {
            problem = "is longer than \(maximumLength) bytes"
        } else if id.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            problem = "has a control character"
        } else {
            return
        }
        throw WarrenError(.invalidJobID, "The job id '\(id.truncated(toBytes: 80))' \(problem).")
    }
}
