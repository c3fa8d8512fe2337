/// A priority lane of a queue: a separate queue on the broker, which workers consume as their ``LanePolicy`` says.
///
/// The normal lane of `emails` is the queue `emails`; its high lane is `emails.high`. Lanes work on every version of
/// RabbitMQ and with every prefetch, which priorities inside one queue don't.
public struct Lane: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The lane's name: one word.
    public let name: String

    private init(_ name: String) { self.name = name }

    /// The lane before the others.
    public static let high = Lane("high")
    /// The default lane.
    public static let normal = Lane("normal")
    /// The lane after the others.
    public static let low = Lane("low")

    /// All lanes, the most urgent first.
    public static let all: [Lane] = [.high, .normal, .low]

    /// The jobs that may have crashed a worker, of which each worker runs one at a time.
    static let quarantine = Lane("quarantine")

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

/// The order in which a worker takes jobs from the lanes of a queue.
public struct LanePolicy: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case strict
        case weighted([Lane: Int])
    }

    let kind: Kind

    /// Takes a job from a lane only when no job waits in a more urgent one.
    public static let strict = LanePolicy(kind: .strict)

    /// Takes jobs in proportion to the lanes' weights while jobs wait in all lanes; a lane without a weight has 1.
    ///
    /// So no lane starves. Weights below 1 count as 1.
    public static func weighted(_ weights: [Lane: Int]) -> LanePolicy {
        LanePolicy(kind: .weighted(weights.mapValues { max(1, $0) }))
    }
}
