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
