import AMQP

/// What callers ask of the connection thread without waiting for it.
struct Mail: Sendable {
    /// Something for the connection to do.
    typealias Call = @Sendable (isolated Connection) -> Void

    var publishes: [PendingPublish] = []
    var settlements: [SettlementRequest] = []
    var calls: [Call] = []

    /// True if the mail shouldn't wait: not for more settlements to join.
    var isUrgent = false

    var isEmpty: Bool { publishes.isEmpty && settlements.isEmpty && calls.isEmpty }
}

/// A delivery's settlement on its way to the channel that the delivery came on.
struct SettlementRequest: Sendable {
    var channel: ChannelID
    var tag: UInt64
    var settlement: DeliverySettlement
}

/// One opening of a channel on one connection.
///
/// Channel numbers are used again; this isn't.
struct ChannelID: Sendable, Hashable {
    var number: UInt16
    var opening: UInt64
}
