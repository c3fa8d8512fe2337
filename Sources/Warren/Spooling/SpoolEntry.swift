import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A job in the spool: its message, and the route that it takes when it is sent.
struct SpoolEntry: Sendable, Hashable, CustomStringConvertible {
    var route: Route
    var message: Message

    /// The job as the subject of an error message.
    var description: String { message.jobDescription(for: route.queue) }
}

extension SpoolEntry {
    /// The entry as bytes.
    ///
    /// - Throws: `invalidArgument` if the message couldn't be sent either.
    func encoded() throws(AMQPError) -> [UInt8] {
        var writer = WireWriter(capacity: 1_024 + message.body.count)
        try writer.write(shortString: route.queue.rawValue)
        try writer.write(shortString: route.lane.name)
        writer.write(UInt8(route.dueAt == nil ? 0 : 1))
        if let dueAt = route.dueAt { writer.write(dueAt.timeIntervalSinceReferenceDate.bitPattern) }
        try writer.write(shortString: route.destination.exchange)
        try writer.write(shortString: route.destination.routingKey)
        try writer.write(message.properties)
        try writer.write(longString: message.body)
        return writer.bytes
    }

    /// Decodes an entry.
    ///
    /// - Throws: `malformed` if the bytes aren't one.
    init(decoding bytes: [UInt8]) throws(AMQPError) {
        var reader = WireReader(bytes)
        let queue = QueueName(try reader.readShortString())
        let laneName = try reader.readShortString()
        guard let lane = Lane(named: laneName) else {
            throw AMQPError(
                .malformed,
                "A spooled job has the lane '\(laneName.truncated(toBytes: 80))', which doesn't exist."
            )
        }
        var dueAt: Date?
        if try reader.read(UInt8.self) != 0 {
            dueAt = Date(timeIntervalSinceReferenceDate: Double(bitPattern: try reader.read(UInt64.self)))
        }
        let destination = Destination(exchange: try reader.readShortString(), routingKey: try reader.readShortString())
        route = Route(queue: queue, lane: lane, dueAt: dueAt, destination: destination)
        let properties = try reader.readProperties()
        message = Message(properties: properties, body: Array(try reader.readLongString()))
    }
}

/// A line of the spool's file of rejected jobs: a job that the broker refused, for a person to look at.
struct RejectedEntry: Codable {
    var rejectedAt: String
    /// The broker's reason.
    var reason: String
    var job: String?
    var id: String?
    var queue: String?
    var lane: String?
    var dueAt: String?
    /// The body, if it is text.
    var body: String?
    /// The whole entry as in the spool, in base64.
    var entry: Data

    init(_ payload: [UInt8], reason: String, now: Date) {
        rejectedAt = WireTime.text(now)
        self.reason = reason
        self.entry = Data(payload)
        guard let entry = try? SpoolEntry(decoding: payload) else { return }
        job = entry.message.jobName
        id = entry.message.jobID
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
