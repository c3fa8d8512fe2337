/// What a broker has of a plan, as far as AMQP can tell without declaring what isn't there.
public struct TopologyInspection: Sendable, Hashable, Codable {
    /// The exchanges and queues that don't exist.
    public var missing: [TopologyPlan.Entry] = []
    /// Every way in which one that exists differs from the plan.
    public var differences: [TopologyDifference] = []
    /// Those that exist and that this user may not declare, so that nothing is known of their arguments.
    public var notCompared: [TopologyPlan.Entry] = []
    /// How many exchanges and queues there are in the plan.
    public var planned = 0

    /// An inspection that found everything as planned.
    public init() {}
}
