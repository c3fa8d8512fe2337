import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A job as the spool keeps it: its message, and the route it takes when it is sent.
struct SpoolEntry: Sendable, Hashable {
    var route: Route
    var message: Message

    /// The job's id.
    var id: String { message.properties.messageID ?? "" }

    /// The job's name.
    var name: String {
        if case .string(let name)? = message.properties.headers?[EnvelopeHeader.task] { name } else { "" }
    }
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

    /// The entry that these bytes are.
    ///
    /// - Throws: `malformed` if they are none.
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
