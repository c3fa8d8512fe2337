import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A job as the spool keeps it: its message, and where it goes when it is due.
///
/// Not by which delay queue it gets there: that follows from what is left of the delay when it is sent.
struct SpoolEntry: Sendable, Hashable {
    var queue: QueueName
    var lane: Lane
    /// When it is due; `nil` for at once.
    var dueAt: Date?
    /// Where it is published when it is due.
    var destination: Destination
    var message: Message

    /// The job's id.
    var id: String { message.properties.messageID ?? "" }

    /// The job's name.
    var name: String {
        if case .string(let name)? = message.properties.headers?[EnvelopeHeader.task] { name } else { "" }
    }

    /// Where it is published now, and whether that is the delay ladder.
    func route(now: Date) -> (destination: Destination, throughLadder: Bool) {
        let wait = dueAt.map { Timing.duration(from: now, to: $0) }
        let ladder = wait.flatMap { DelayLadder.route($0, to: destination.routingKey) }
        return (ladder ?? destination, ladder != nil)
    }
}

extension SpoolEntry {
    /// The entry as bytes.
    ///
    /// - Throws: `invalidArgument` if the message couldn't be sent either.
    func encoded() throws(AMQPError) -> [UInt8] {
        var writer = WireWriter(capacity: 1_024 + message.body.count)
        try writer.write(shortString: queue.rawValue)
        try writer.write(shortString: lane.name)
        writer.write(UInt8(dueAt == nil ? 0 : 1))
        if let dueAt { writer.write(dueAt.timeIntervalSinceReferenceDate.bitPattern) }
        try writer.write(shortString: destination.exchange)
        try writer.write(shortString: destination.routingKey)
        try writer.write(message.properties)
        try writer.write(longString: message.body)
        return writer.bytes
    }

    /// The entry that these bytes are.
    ///
    /// - Throws: `malformed` if they are none.
    init(decoding bytes: [UInt8]) throws(AMQPError) {
        var reader = WireReader(bytes)
        queue = QueueName(try reader.readShortString())
        let lane = try reader.readShortString()
        guard let known = Lane(named: lane) else {
            throw AMQPError(
                .malformed,
                "A spooled job has the lane '\(lane.truncated(toBytes: 80))', which doesn't exist."
            )
        }
        self.lane = known
        if try reader.read(UInt8.self) != 0 {
            dueAt = Date(timeIntervalSinceReferenceDate: Double(bitPattern: try reader.read(UInt64.self)))
        }
        destination = Destination(exchange: try reader.readShortString(), routingKey: try reader.readShortString())
        let properties = try reader.readProperties()
        message = Message(properties: properties, body: Array(try reader.readLongString()))
    }
}
