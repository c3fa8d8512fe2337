import HeapModule

/// The due times of a broker's events, in one place for all its timers.
///
/// A value without a clock. An entry may be outdated when its time comes: its handler checks the state and arms the
/// event again. So a queue has one entry for its oldest message rather than one for each message.
struct Timetable: Sendable {
    /// A reason to check a queue or channel.
    enum Event: Sendable, Hashable {
        /// A queue's first message may have expired.
        case firstMessage(QueueID)
        /// A queue may have been unused for too long.
        case queueExpiry(QueueID)
        /// A delivery of a channel may be unsettled for too long.
        case unsettled(ChannelID)
        /// A queue's undelivered dead letters are to be tried again.
        case deadLetters(QueueID)
    }

    private struct Entry: Comparable, Sendable {
        var time: Duration
        var number: UInt64
        var event: Event

        static func < (one: Entry, other: Entry) -> Bool { (one.time, one.number) < (other.time, other.number) }
        static func == (one: Entry, other: Entry) -> Bool { one.number == other.number }
    }

    private var entries = Heap<Entry>()
    /// The earliest entry of each event.
    private var armed: [Event: Duration] = [:]
    private var nextNumber: UInt64 = 0

    init() {}

    /// The time of the next event.
    var next: Duration? { entries.min?.time }

    /// Arms an event for `time`, unless it is armed for that time or an earlier one.
    mutating func arm(_ event: Event, at time: Duration) {
        if let present = armed[event], present <= time { return }
        armed[event] = time
        nextNumber += 1
        entries.insert(Entry(time: time, number: nextNumber, event: event))
    }

    /// Cancels an event.
    mutating func disarm(_ event: Event) { armed[event] = nil }

    /// Removes and returns the next due event.
    mutating func popDue(_ now: Duration) -> Event? {
        while let entry = entries.min, entry.time <= now {
            entries.removeMin()
            guard armed[entry.event] == entry.time else { continue }
            armed[entry.event] = nil
            return entry.event
        }
        return nil
    }
}
