/// What came of a replay.
public struct ReplayReport: Sendable, Hashable, Codable {
    /// How many dead letters were put back.
    public var replayed = 0
    /// How many no queue takes any more: their exchange or queue is gone.
    ///
    /// They stay dead.
    public var unroutable = 0
}
