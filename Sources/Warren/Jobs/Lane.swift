/// A priority level of a queue: a queue of its own on the broker, which workers drain by a ``LanePolicy``.
///
/// The normal lane of `emails` is the queue `emails`; its high lane is `emails.high`. Lanes work on every version of RabbitMQ and
/// with every prefetch, which priorities inside one queue don't.
public struct Lane: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The lane's name: one word.
    public let name: String

    private init(_ name: String) { self.name = name }

    /// Before the others.
    public static let high = Lane("high")
    /// Where jobs go that say nothing else.
    public static let normal = Lane("normal")
    /// After the others.
    public static let low = Lane("low")

    /// All lanes, the most urgent first.
    public static let all: [Lane] = [.high, .normal, .low]

    /// The lane of this name, as a command line gives it; `nil` if there is none.
    public init?(named name: String) {
        guard let lane = Lane.all.first(where: { $0.name == name }) else { return nil }
        self = lane
    }

    /// The broker's queue for this lane of `queue`.
    public func queue(of queue: QueueName) -> String {
        self == .normal ? queue.rawValue : "\(queue.rawValue).\(name)"
    }

    /// The lane's name.
    public var description: String { name }
}
