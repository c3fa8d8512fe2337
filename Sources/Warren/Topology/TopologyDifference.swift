/// An exchange or queue that exists at the broker and isn't what the plan says, and what would settle it.
public struct TopologyDifference: Sendable, Hashable, Codable, CustomStringConvertible {
    /// `exchange` or `queue`.
    public var kind: String
    /// The name of the exchange or queue.
    public var name: String
    /// What differs, such as `durable` or `x-delivery-limit`; `nil` if the broker's answer couldn't be understood.
    public var argument: String?
    /// What the plan says; `nil` if it says nothing about this.
    public var planned: String?
    /// What the broker has; `nil` if it has nothing, or if the broker's answer couldn't be understood.
    public var existing: String?
    /// What to do about it: which policy or migration.
    public var remedy: String

    /// One sentence of what differs, and what to do.
    public var description: String {
        guard let argument else { return "The \(kind) '\(name)' exists and is different. \(remedy)" }
        let planned = planned.map { "'\($0)' is planned" } ?? "none is planned"
        return
            "The \(kind) '\(name)' has \(existing.map { "\(argument) '\($0)'" } ?? "no \(argument)"), \(planned). \(remedy)"
    }
}
