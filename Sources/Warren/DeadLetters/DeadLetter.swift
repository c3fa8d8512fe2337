public import AMQP

/// A job in a dead queue, with the reason why it is there.
public struct DeadLetter: Sendable, Hashable {
    /// The queue that the job was in.
    public var queue: QueueName
    /// The message, with the record in its headers.
    public var message: Message
    /// The reason why it is dead, and its earlier failures.
    public var record: FailureRecord

    /// Creates a dead letter of a queue.
    public init(_ message: Message, of queue: QueueName) {
        self.queue = queue
        self.message = message
        record = FailureRecord(deadLetter: message)
    }

    /// The job's id; `nil` if the message has none that can be read.
    public var id: String? { header(EnvelopeHeader.id) }
    /// The job's name; `nil` if the message has none that can be read.
    public var name: String? { header(EnvelopeHeader.task) }

    /// The destination of a replay: where the job was published originally, without its way down the delay ladder.
    ///
    /// A message that the broker itself moved here, from the job queue or the parked queue, has no record of ours: then
    /// it is the queue.
    func origin(in topology: Topology) -> Destination {
        let ours = Destination(exchange: topology.exchange, routingKey: queue.rawValue)
        let headers = message.properties.headers
        guard let exchange = headers?[EnvelopeHeader.originalExchange]?.stringValue,
            let key = headers?[EnvelopeHeader.originalRoutingKey]?.stringValue
        else { return deadLetteredLane(topology) ?? ours }
        return Route.origin(of: Destination(exchange: exchange, routingKey: key), in: topology)
    }

    /// The lane from which the broker took it.
    private func deadLetteredLane(_ topology: Topology) -> Destination? {
        let deaths = message.properties.headers?["x-death"]?.arrayValue ?? []
        let lanes = Lane.all.map { $0.queue(of: queue) }
        let name = deaths.lazy.compactMap { $0.tableValue?["queue"]?.stringValue }.first { lanes.contains($0) }
        return name.map { Destination(exchange: topology.exchange, routingKey: $0) }
    }

    private func header(_ name: String) -> String? { message.properties.headers?[name]?.stringValue }
}

/// The reason why a job is in the dead queue.
///
/// Its text is stable: dead letters keep it, and filters use it.
public struct DeadReason: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible {
    /// The reason as dead letters keep it.
    public let rawValue: String

    /// Creates a reason from its text.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The reason's text.
    public var description: String { rawValue }

    /// The last attempt that the retry policy allows failed.
    public static let attemptsExhausted = DeadReason(rawValue: "attempts-exhausted")
    /// The handler or the retry policy decided that the job can't succeed.
    public static let permanent = DeadReason(rawValue: "permanent")
    /// The job expired before it was started or could be retried.
    public static let expired = DeadReason(rawValue: "expired")
    /// The job took down every worker that started it; the history lists them.
    public static let crashed = DeadReason(rawValue: "crashed")
    /// The message can't be read.
    ///
    /// The reason is the code of the ``EnvelopeError``.
    public static func undecodable(_ error: EnvelopeError) -> DeadReason { DeadReason(rawValue: error.code.rawValue) }
}
