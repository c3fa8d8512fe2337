import Synchronization

/// How often a client had to recover, and what came of it.
public struct ClientStatistics: Sendable, Hashable, Codable {
    /// Connections that were made anew after one was lost.
    public var reconnects = 0
    /// Publishes that were sent again because their connection was lost before the broker confirmed them.
    public var resentPublishes = 0
    /// Settlements of deliveries whose channel was gone: they did nothing, and the broker delivers those messages again.
    public var lateSettlements = 0
}

/// The live counters behind ``ClientStatistics``.
final class ClientCounters: Sendable {
    private let connected = Atomic(false)
    private let reconnects = Atomic(0)
    private let resentPublishes = Atomic(0)
    private let lateSettlements = Atomic(0)

    /// True once any connection of the client has been open.
    var hasConnected: Bool { connected.load(ordering: .relaxed) }

    func noteConnected() { connected.store(true, ordering: .relaxed) }
    func countReconnect() { reconnects.add(1, ordering: .relaxed) }
    func count(resentPublishes count: Int) { resentPublishes.add(count, ordering: .relaxed) }
    func count(lateSettlements count: Int) { lateSettlements.add(count, ordering: .relaxed) }

    var statistics: ClientStatistics {
        ClientStatistics(
            reconnects: reconnects.load(ordering: .relaxed),
            resentPublishes: resentPublishes.load(ordering: .relaxed),
            lateSettlements: lateSettlements.load(ordering: .relaxed)
        )
    }
}
