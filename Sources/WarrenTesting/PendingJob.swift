public import AMQP
import EmbeddedBroker
public import Foundation
public import Warren

/// A job that waits at the broker.
public struct PendingJob<Payload: Job>: Sendable {
    /// The job's id.
    public var id: String
    /// What it says.
    public var payload: Payload
    /// The queue that it is in, or will be in when it is due.
    public var queue: QueueName
    /// The queue's lane.
    public var lane: Lane
    /// When it is due; `nil` for at once.
    public var dueAt: Date?
    /// Which attempt comes next, from 1.
    public var attempt: Int
    /// Its message's headers.
    public var headers: FieldTable
}

extension TestBench {
    /// The jobs of a kind that wait at the broker, due now or later, retries included; not those that run, are dead or parked.
    ///
    /// - Throws: ``EnvelopeError`` if a job of this name has another payload.
    public func enqueued<Payload: Job>(_ type: Payload.Type = Payload.self) throws -> [PendingJob<Payload>] {
        try waiting().compactMap { waiting in
            guard waiting.envelope.name == Payload.name else { return nil }
            return PendingJob(
                id: waiting.envelope.id,
                payload: try waiting.envelope.payload(as: Payload.self),
                queue: waiting.queue,
                lane: waiting.lane,
                dueAt: waiting.envelope.eta,
                attempt: waiting.envelope.attempt,
                headers: waiting.envelope.headers
            )
        }
    }

    /// A job of whatever kind that waits.
    struct Waiting {
        var envelope: Envelope
        var queue: QueueName
        var lane: Lane
    }

    func waiting() -> [Waiting] {
        broker.queueNames.flatMap { name -> [Waiting] in
            guard !name.hasSuffix(".dead"), !name.hasSuffix(".parked") else { return [] }
            return broker.storedMessages(in: name).compactMap { message, destination in
                guard let envelope = try? Envelope(decoding: message) else { return nil }
                // On the ladder the routing key ends with the destination.
                let target = DelayLadder.destination(fromRoutingKey: destination.routingKey) ?? destination.routingKey
                let (queue, lane) = QueueName.split(target)
                return Waiting(envelope: envelope, queue: queue, lane: lane)
            }
        }
    }
}

extension QueueName {
    /// The queue and lane that one of the broker's queues stands for.
    fileprivate static func split(_ name: String) -> (QueueName, Lane) {
        for lane in Lane.all where lane != .normal && name.hasSuffix("." + lane.name) {
            return (QueueName(String(name.dropLast(lane.name.count + 1))), lane)
        }
        return (QueueName(name), .normal)
    }
}
