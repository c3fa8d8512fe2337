import DequeModule

/// The consumers of a queue, in the order in which they are served.
///
/// A value. Consumers with room for a delivery are served in rotation, higher priorities first. With a single active
/// consumer the others wait until it is gone.
struct ConsumerRotation: Sendable {
    private struct Entry: Sendable {
        var prefetch: Int
        var priority: Int
        var unsettled = 0
        var isInRotation = true

        var hasRoom: Bool { prefetch == 0 || unsettled < prefetch }
    }

    private let singleActive: Bool
    /// True if a consumer of a higher priority takes over from the single active one, once that has settled all its
    /// deliveries.
    private let prefersHigher: Bool
    private var entries: [ChannelID: Entry] = [:]
    /// The consumers with room, by falling priority.
    private var rotation: Deque<ChannelID> = []
    /// All consumers in the order of their registration, for a single active consumer.
    private var order: [ChannelID] = []
    private(set) var active: ChannelID?

    init(singleActive: Bool = false, prefersHigher: Bool = false) {
        self.singleActive = singleActive
        self.prefersHigher = prefersHigher
    }

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }
    var all: [ChannelID] { order }

    mutating func add(_ channel: ChannelID, prefetch: Int, priority: Int) {
        entries[channel] = Entry(prefetch: prefetch, priority: priority)
        order.append(channel)
        enqueue(channel, priority)
        if active == nil { active = channel }
    }

    /// Removes a consumer; returns whether it was registered.
    @discardableResult
    mutating func remove(_ channel: ChannelID) -> Bool {
        guard entries.removeValue(forKey: channel) != nil else { return false }
        rotation.removeAll { $0 == channel }
        order.removeAll { $0 == channel }
        if active == channel { active = best }
        return true
    }

    /// Picks the consumer of the next message, which counts as unsettled from now on.
    mutating func take() -> ChannelID? {
        if singleActive { return takeActive() }
        guard let channel = rotation.popFirst() else { return nil }
        entries[channel]?.unsettled += 1
        if let entry = entries[channel] {
            if entry.hasRoom { enqueue(channel, entry.priority) } else { entries[channel]?.isInRotation = false }
        }
        return channel
    }

    /// Notes that a consumer has settled a delivery; returns whether it had no room before and has some now.
    @discardableResult
    mutating func settled(_ channel: ChannelID) -> Bool {
        guard var entry = entries[channel] else { return false }
        entry.unsettled -= 1
        let rejoins = !entry.isInRotation && entry.hasRoom
        if rejoins { entry.isInRotation = true }
        entries[channel] = entry
        if rejoins { enqueue(channel, entry.priority) }
        return rejoins
    }

    private mutating func takeActive() -> ChannelID? {
        if prefersHigher { promoteHigherPriority() }
        guard let active, let entry = entries[active], entry.hasRoom else { return nil }
        if prefersHigher, let best, best != active { return nil }
        entries[active]?.unsettled += 1
        if entries[active]?.hasRoom == false {
            entries[active]?.isInRotation = false
            rotation.removeAll { $0 == active }
        }
        return active
    }

    /// Makes a consumer of a higher priority the active one, if the present one has nothing unsettled.
    private mutating func promoteHigherPriority() {
        guard let best, best != active, let active, entries[active]?.unsettled == 0 else { return }
        self.active = best
    }

    /// The consumer that should be active: of those with the highest priority, the active one or else the first.
    private var best: ChannelID? {
        let highest = entries.values.map(\.priority).max()
        if let active, let entry = entries[active], entry.priority == highest { return active }
        return order.first { entries[$0]?.priority == highest }
    }

    private mutating func enqueue(_ channel: ChannelID, _ priority: Int) {
        var index = rotation.count
        while index > 0, let other = entries[rotation[index - 1]], other.priority < priority { index -= 1 }
        rotation.insert(channel, at: index)
    }
}
