import AMQP
import DequeModule

/// The unsettled deliveries of a channel, and the fewest frames that carry out the requested settlements.
///
/// Delivery numbers count from 1 on a channel. An acknowledgement may cover all unsettled deliveries up to its number,
/// so a run of acknowledged deliveries at the front is sent as one frame. One behind an unsettled delivery is sent
/// alone: waiting for the other would hold back a result.
struct SettlementTracker {
    private enum Entry {
        case unsettled
        case asked(DeliverySettlement)
        case sent
    }

    private var entries: Deque<Entry> = []
    private var firstTag: UInt64 = 1
    private var askedTags: [UInt64] = []

    init() {}

    /// True if no delivery is unsettled, and no settlement waits to be sent.
    var isEmpty: Bool { entries.isEmpty }

    /// True if settlements wait to be sent.
    var hasWork: Bool { !askedTags.isEmpty }

    /// The earliest delivery that the program hasn't settled; `nil` if it has settled all.
    var firstUnsettledTag: UInt64? {
        let index = entries.firstIndex { if case .unsettled = $0 { true } else { false } }
        return index.map { firstTag + UInt64($0) }
    }

    /// The earliest delivery that may be unsettled; all before it are settled.
    var earliestTag: UInt64 { firstTag }

    /// Adds a delivery.
    ///
    /// - Throws: `malformed` if the number isn't the next one: RabbitMQ counts a channel's deliveries from 1 without
    ///   gaps, and a settlement of the wrong one would lose a message.
    mutating func deliver(_ tag: UInt64) throws(AMQPError) {
        let next = firstTag + UInt64(entries.count)
        guard tag == next else {
            throw AMQPError(.malformed, "The broker numbered a delivery \(tag) where \(next) was due.")
        }
        entries.append(.unsettled)
    }

    /// Adds a settlement to be sent.
    ///
    /// Returns false, and does nothing, if the delivery is unknown or settled already.
    mutating func settle(_ tag: UInt64, _ settlement: DeliverySettlement) -> Bool {
        guard tag >= firstTag, tag - firstTag < UInt64(entries.count) else { return false }
        let index = Int(tag - firstTag)
        guard case .unsettled = entries[index] else { return false }
        entries[index] = .asked(settlement)
        askedTags.append(tag)
        return true
    }

    /// Sends the frames that carry out all settlements requested since the last call.
    mutating func flush(_ send: (OutboundMethod) -> Void) {
        guard hasWork else { return }
        defer { askedTags.removeAll(keepingCapacity: true) }
        var runEnd: UInt64?
        var runLength = 0
        run: while let first = entries.first {
            switch first {
            case .asked(.ack):
                runEnd = firstTag
                runLength += 1
            case .sent: break
            case .asked, .unsettled: break run
            }
            entries.removeFirst()
            firstTag += 1
        }
        if let runEnd { send(.ack(tag: runEnd, multiple: runLength > 1)) }
        for tag in askedTags where tag >= firstTag {
            let index = Int(tag - firstTag)
            guard case .asked(let settlement) = entries[index] else { continue }
            entries[index] = .sent
            send(Self.method(for: settlement, tag: tag))
        }
        while case .sent? = entries.first {
            entries.removeFirst()
            firstTag += 1
        }
    }

    private static func method(for settlement: DeliverySettlement, tag: UInt64) -> OutboundMethod {
        switch settlement {
        case .ack: .ack(tag: tag, multiple: false)
        case .requeue: .nack(tag: tag, multiple: false, requeue: true)
        case .discard: .nack(tag: tag, multiple: false, requeue: false)
        case .reject(let requeue): .reject(tag: tag, requeue: requeue)
        }
    }
}
