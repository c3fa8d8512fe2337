import AMQP
import DequeModule

/// A connection to one broker.
struct ConnectionID: Hashable, Sendable { var number: Int }

/// A channel of one broker: of one consumer, or of a connection's gets.
struct ChannelID: Hashable, Sendable { var number: Int }

/// A channel: its consumer, and its unsettled deliveries.
struct Channel: Sendable {
    /// A consumer's queue and settings.
    struct Consumption: Sendable {
        var queue: QueueID
        var name: String
        var prefetch: Int
        var isExclusive: Bool
        /// True if a message is acknowledged as soon as it is delivered.
        var isAutomaticallyAcknowledged: Bool
        var priority: Int
        var kind: QueueKind
        /// The limit for how long a delivery may stay unsettled.
        var timeout: Duration?
        /// The place at which a reader of a stream starts.
        var start: StreamLog.Start
    }

    let connection: ConnectionID
    var consumption: Consumption?
    /// True if the consumer still gets deliveries.
    var isConsuming = false
    var unsettled = UnsettledDeliveries()
}

/// The unsettled deliveries of a channel, by their tags.
///
/// A value. Tags count from 1 and go on after a lost connection, so an old one is never mistaken for a new one.
struct UnsettledDeliveries: Sendable {
    /// An unsettled delivery.
    struct Entry: Sendable {
        var queue: QueueID
        var message: StoredMessage
        /// The time at which the consumer timeout expires.
        var deadline: Duration?
    }

    private var entries: Deque<Entry?> = []
    private var firstTag: UInt64 = 1
    private(set) var count = 0

    init() {}

    /// The delivery whose consumer timeout expires first.
    var mostUrgent: Entry? {
        let limited = entries.lazy.compactMap(\.self).filter { $0.deadline != nil }
        return limited.min { ($0.deadline ?? .zero) < ($1.deadline ?? .zero) }
    }

    /// The number of deliveries from a queue.
    func count(of queue: QueueID) -> Int { entries.count { $0?.queue == queue } }

    /// Adds a delivery; returns its tag.
    mutating func add(_ entry: Entry) -> UInt64 {
        entries.append(entry)
        count += 1
        return firstTag + UInt64(entries.count) - 1
    }

    /// Removes and returns a delivery; `nil` if it was settled before.
    mutating func take(_ tag: UInt64) -> Entry? {
        guard tag >= firstTag, tag - firstTag < UInt64(entries.count) else { return nil }
        let index = Int(tag - firstTag)
        guard let entry = entries[index] else { return nil }
        entries[index] = nil
        count -= 1
        while case .some(nil) = entries.first {
            entries.removeFirst()
            firstTag += 1
        }
        return entry
    }

    /// Removes and returns all deliveries, oldest first.
    mutating func takeAll() -> [Entry] {
        let all = entries.compactMap(\.self)
        firstTag += UInt64(entries.count)
        entries = []
        count = 0
        return all
    }
}
