import DequeModule

/// The consumers of a queue, and whose turn it is.
///
/// A value. Those with room for a delivery take turns; higher priorities go first. With a single active consumer the others wait until
/// it is gone.
struct ConsumerRotation: Sendable {
    private struct Seat: Sendable {
        var prefetch: Int
        var priority: Int
        var unsettled = 0
        var isInRotation = true

        var hasRoom: Bool { prefetch == 0 || unsettled < prefetch }
    }

    private let singleActive: Bool
    /// Whether a new consumer of a higher priority takes over from the single active one, once that has settled all.
    private let prefersHigher: Bool
    private var seats: [ChannelID: Seat] = [:]
    /// Those with room, by falling priority.
    private var rotation: Deque<ChannelID> = []
    /// All in the order of their coming, for a single active consumer.
    private var order: [ChannelID] = []
    private(set) var active: ChannelID?

    init(singleActive: Bool = false, prefersHigher: Bool = false) {
        self.singleActive = singleActive
        self.prefersHigher = prefersHigher
    }

    var count: Int { seats.count }
    var isEmpty: Bool { seats.isEmpty }
    var all: [ChannelID] { order }

    mutating func add(_ channel: ChannelID, prefetch: Int, priority: Int) {
        seats[channel] = Seat(prefetch: prefetch, priority: priority)
        order.append(channel)
        enqueue(channel, priority)
        if active == nil { active = channel }
    }

    /// Removes a consumer; returns whether it was there.
    @discardableResult
    mutating func remove(_ channel: ChannelID) -> Bool {
        guard seats.removeValue(forKey: channel) != nil else { return false }
        rotation.removeAll { $0 == channel }
        order.removeAll { $0 == channel }
        if active == channel { active = best }
        return true
    }

    /// The consumer that gets the next message, which counts as unsettled from now on.
    mutating func take() -> ChannelID? {
        if singleActive { return takeActive() }
        guard let channel = rotation.popFirst() else { return nil }
        seats[channel]?.unsettled += 1
        if let seat = seats[channel] {
            if seat.hasRoom { enqueue(channel, seat.priority) } else { seats[channel]?.isInRotation = false }
        }
        return channel
    }

    /// A consumer has settled a delivery; returns whether it has room now that it had not.
    @discardableResult
    mutating func settled(_ channel: ChannelID) -> Bool {
        guard var seat = seats[channel] else { return false }
        seat.unsettled -= 1
        let comesBack = !seat.isInRotation && seat.hasRoom
        if comesBack { seat.isInRotation = true }
        seats[channel] = seat
        if comesBack { enqueue(channel, seat.priority) }
        return comesBack
    }

    private mutating func takeActive() -> ChannelID? {
        if prefersHigher { handOver() }
        guard let active, let seat = seats[active], seat.hasRoom else { return nil }
        if prefersHigher, let best, best != active { return nil }
        seats[active]?.unsettled += 1
        if seats[active]?.hasRoom == false {
            seats[active]?.isInRotation = false
            rotation.removeAll { $0 == active }
        }
        return active
    }

    /// Lets a consumer of a higher priority be the active one, if the present one has nothing unsettled.
    private mutating func handOver() {
        guard let best, best != active, let active, seats[active]?.unsettled == 0 else { return }
        self.active = best
    }

    /// The one that should be active: of the highest priority the one that is active or came first.
    private var best: ChannelID? {
        let highest = seats.values.map(\.priority).max()
        if let active, let seat = seats[active], seat.priority == highest { return active }
        return order.first { seats[$0]?.priority == highest }
    }

    private mutating func enqueue(_ channel: ChannelID, _ priority: Int) {
        var index = rotation.count
        while index > 0, let other = seats[rotation[index - 1]], other.priority < priority { index -= 1 }
        rotation.insert(channel, at: index)
    }
}
