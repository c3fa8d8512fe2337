/// What a broker runs short of, so that it takes no publishes until there is enough again.
public struct BrokerAlarm: Sendable, Hashable {
    /// The words in which publishers are told.
    public let reason: String

    /// An alarm with words of its own.
    public init(reason: String) { self.reason = reason }

    /// Memory is short.
    public static let memory = BrokerAlarm(reason: "low on memory")
    /// Disk space is short.
    public static let disk = BrokerAlarm(reason: "low on disk")
}
