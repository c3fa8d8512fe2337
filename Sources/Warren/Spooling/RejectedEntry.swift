import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A line of the file of the rejected: a spooled job that the broker will not take, for a person to look at.
struct RejectedEntry: Codable {
    var rejectedAt: String
    /// Why it was not taken.
    var reason: String
    var job: String?
    var id: String?
    var queue: String?
    var lane: String?
    var dueAt: String?
    /// The body, if it is text.
    var body: String?
    /// The whole as the spool had it, in base 64.
    var entry: Data

    init(_ payload: [UInt8], reason: String, now: Date) {
        rejectedAt = WireTime.text(now)
        self.reason = reason
        self.entry = Data(payload)
        guard let entry = try? SpoolEntry(decoding: payload) else { return }
        job = entry.name
        id = entry.id
        queue = entry.route.queue.rawValue
        lane = entry.route.lane.name
        dueAt = entry.route.dueAt.map { WireTime.text($0) }
        body = String(validating: entry.message.body, as: UTF8.self)
    }

    /// The line, without its end.
    func line() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(self))
    }
}
