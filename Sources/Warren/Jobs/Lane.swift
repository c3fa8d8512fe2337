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

/// In which order a worker takes jobs from the lanes of a queue.
public struct LanePolicy: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case strict
        case weighted([Lane: Int])
    }

    let kind: Kind

    /// A lane gets its turn only when every more urgent one has nothing waiting.
    public static let strict = LanePolicy(kind: .strict)

    /// While all lanes have jobs waiting, each gets a share of the turns in proportion to its weight; a lane without a weight has 1.
    ///
    /// So no lane starves. Weights below 1 count as 1.
    public static func weighted(_ weights: [Lane: Int]) -> LanePolicy {
        LanePolicy(kind: .weighted(weights.mapValues { max(1, $0) }))
    }
}
