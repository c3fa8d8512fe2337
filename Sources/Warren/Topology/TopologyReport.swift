/// What came of applying a plan: how much was declared, and where the broker has something else.
public struct TopologyReport: Sendable, Hashable, Codable {
    /// The number of declarations that exist as planned, or were made.
    public var matching = 0
    /// Every way in which an exchange or queue that exists differs from the plan.
    ///
    /// It stays as it was.
    public var differences: [TopologyDifference] = []

    /// True if something at the broker differs from the plan.
    public var hasDrift: Bool { !differences.isEmpty }
}
