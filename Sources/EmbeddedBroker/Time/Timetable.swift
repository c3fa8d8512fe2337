import HeapModule

/// What a broker has to do at its time: the one place for all its timers.
///
/// A value without a clock. An entry may be out of date when its time comes: whoever it is for looks again and makes a new one. So a
/// queue has one entry for its oldest message, not one for each.
struct Timetable: Sendable {
    /// What is to be looked at.
    enum Event: Sendable, Hashable {
        /// A queue's first message may have expired.
        case firstMessage(QueueID)
        /// A queue may have been unused for too long.
        case queueExpiry(QueueID)
        /// A delivery of a channel may be unsettled for too long.
        case unsettled(ChannelID)
        /// Dead letters that could not be delivered are to be tried again.
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

    /// When something is due next.
    var next: Duration? { entries.min?.time }

    /// Makes sure that an event happens at `time` or before.
    mutating func arm(_ event: Event, at time: Duration) {
        if let present = armed[event], present <= time { return }
        armed[event] = time
        nextNumber += 1
        entries.insert(Entry(time: time, number: nextNumber, event: event))
    }

    /// Forgets an event.
    mutating func disarm(_ event: Event) { armed[event] = nil }

    /// The next event that is due.
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
