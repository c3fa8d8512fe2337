public import AMQP

/// A job in a dead queue, with why it is there.
public struct DeadLetter: Sendable, Hashable {
    /// The queue it was in when it died.
    public var queue: QueueName
    /// The message, with the record in its headers.
    public var message: Message
    /// Why it is here, and what happened before.
    public var record: FailureRecord

    /// A dead letter of a queue.
    public init(_ message: Message, of queue: QueueName) {
        self.queue = queue
        self.message = message
        record = FailureRecord(deadLetter: message)
    }

    /// The job's id; `nil` if the message has none that can be read.
    public var id: String? { header(EnvelopeHeader.id) }
    /// The job's name; `nil` if the message has none that can be read.
    public var name: String? { header(EnvelopeHeader.task) }

    /// Where a replay publishes it: where it came from, not by way of the delay ladder.
    ///
    /// What the broker moved here by itself, out of the job queue or the parked queue, has no record of ours: then it is the queue.
    func origin(in topology: Topology) -> Destination {
        let ours = Destination(exchange: topology.exchange, routingKey: queue.rawValue)
        let headers = message.properties.headers
        guard let exchange = headers?[EnvelopeHeader.originalExchange]?.stringValue,
            let key = headers?[EnvelopeHeader.originalRoutingKey]?.stringValue
        else { return laneOfDeath(topology) ?? ours }
        guard let inner = DelayLadder.destination(fromRoutingKey: key) else {
            return Destination(exchange: exchange, routingKey: key)
        }
        return Destination(exchange: topology.exchange, routingKey: inner)
    }

    /// The lane out of which the broker took it.
    private func laneOfDeath(_ topology: Topology) -> Destination? {
        let deaths = message.properties.headers?["x-death"]?.arrayValue ?? []
        let lanes = Lane.all.map { $0.queue(of: queue) }
        let name = deaths.lazy.compactMap { $0.tableValue?["queue"]?.stringValue }.first { lanes.contains($0) }
        return name.map { Destination(exchange: topology.exchange, routingKey: $0) }
    }

    private func header(_ name: String) -> String? { message.properties.headers?[name]?.stringValue }
}

/// Why a job is in the dead queue.
///
/// The text is stable: it is kept in the dead letter, and filters use it.
public struct DeadReason: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible {
    /// The reason as it is kept in dead letters.
    public let rawValue: String

    /// A reason by its text.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The reason's text.
    public var description: String { rawValue }

    /// The last attempt that the policy allows failed.
    public static let attemptsExhausted = DeadReason(rawValue: "attempts-exhausted")
    /// The handler, or the policy, said that the job can't succeed.
    public static let permanent = DeadReason(rawValue: "permanent")
    /// The job expired before it was started, or before it could be tried again.
    public static let expired = DeadReason(rawValue: "expired")
    /// The job took down every worker that started it: the history says which, and when.
    public static let crashed = DeadReason(rawValue: "crashed")
    /// The message can't be read; the reason is the code of the ``EnvelopeError``.
    public static func undecodable(_ error: EnvelopeError) -> DeadReason { DeadReason(rawValue: error.code.rawValue) }
}
