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
