import Foundation
import Warren

/// A job with fields of several types.
struct SendEmail: Job, Equatable {
    static let name = "emails.send"
    static let queue: QueueName = "emails"

    var to: String
    var subject: String
    var copies = 1
    var due: Date?
}

/// A job without a payload.
struct Tidy: Job, Equatable {
    static let name = "tidy"
    static let queue: QueueName = "chores"
    static let lane: Lane = .low
    static let timeToLive: Duration? = .seconds(60)
}

struct SampleError: Error, CustomStringConvertible {
    var description = "it did not work"
}

/// Saturday, 21 November 2026, 03:35:37.755313 UTC.
let noon = Date(timeIntervalSince1970: 1_795_232_137.755313)

/// Numbers that look random and are the same each time.
struct SteadyGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
