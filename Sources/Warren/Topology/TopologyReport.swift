/// What came of applying a plan: how much was declared, and where the broker has something else.
public struct TopologyReport: Sendable, Hashable, Codable {
    /// How many steps the broker agreed to.
    public var agreed = 0
    /// Every way in which an exchange or queue that exists differs from the plan.
    ///
    /// It stays as it was.
    public var differences: [TopologyDifference] = []

    /// True if the broker has exactly what was planned.
    public var isAsPlanned: Bool { differences.isEmpty }
}
