import AMQP

/// The broker without clock, lock and streams: requests in, effects out.
///
/// A state machine. Each request is made at a time, which never goes back; ``work(now:)`` then does what follows from it: it lets expire,
/// dead-letters and delivers until nothing is left to do, and leaves what consumers are to be told in ``effects``.
struct BrokerMachine: Sendable {
    /// What somebody is to be told.
    enum Effect: Sendable {
        case deliver(ChannelID, Delivered)
        /// The consumer gets no more: without an error because it wanted no more.
        case end(ChannelID, AMQPError?)
        /// What is unsettled on the channel has gone back.
        case lose(ChannelID)
        /// What was unsettled on the channel has gone back, and its consumer goes on.
        case resume(ChannelID)
    }

    /// A message as it is delivered.
    struct Delivered: Sendable {
        var message: StoredMessage
        var kind: QueueKind
        var queue: String
        var tag: UInt64
    }

    let features: BrokerFeatures
    /// Whether changes are to be noted for a journal.
    let isJournaled: Bool
    var exchanges = ExchangeTable()
    var queues: [QueueID: MessageQueue] = [:]
    var queueIDs: [String: QueueID] = [:]
    var channels: [ChannelID: Channel] = [:]
    /// The channel of each connection's gets.
    var getChannels: [ConnectionID: ChannelID] = [:]
    var timetable = Timetable()
    /// The longest time for a delivery to be unsettled, where an operator set one.
    var consumerTimeout: ConsumerTimeout = .byDefault
    var routes = RouteCache()
    var totals = BrokerTotals()
    private(set) var effects: [Effect] = []
    private(set) var changes: [BrokerChange] = []
    private(set) var now: Duration
    /// Queues with something to deliver or to dead-letter.
    private var dirty: [QueueID] = []
    private var assignments: [MessageQueue.Assignment] = []
    private var lastNumber = 0
    /// Deliveries that were unsettled when the journal ended, while the broker comes back from it.
    var restoredDeliveries: [QueueID: Set<UInt64>] = [:]
    /// How many names the broker has made up.
    var generatedNameCount = 0

    /// How long deliveries may be unsettled.
    enum ConsumerTimeout: Sendable, Hashable {
        /// As the version has it.
        case byDefault
        case after(Duration)
        case never
    }

    init(version: BrokerVersion, isJournaled: Bool = false, now: Duration = .zero) {
        features = BrokerFeatures(version)
        self.isJournaled = isJournaled
        self.now = now
    }

    mutating func nextNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }

    /// Takes what is due by now to be done, before a request is.
    mutating func begin(now: Duration) {
        self.now = max(self.now, now)
        guard let next = timetable.next, next <= self.now else { return }
        runDue()
        work()
    }

    /// Does what follows from what was asked: until nothing is left to deliver and no dead letter is on its way.
    mutating func work() {
        var next = 0
        while next < dirty.count {
            let id = dirty[next]
            next += 1
            // The queue's way through the dictionary costs, so it is asked once for all.
            guard let remainder = queues[id]?.assign(now: now, to: &assignments) else { continue }
            for assignment in assignments { deliver(assignment, from: id) }
            assignments.removeAll(keepingCapacity: true)
            if !remainder.deadLetters.isEmpty { deadLetter(remainder.deadLetters, of: id) }
            if !remainder.trimmed.isEmpty { recordTrimmed(remainder.trimmed, of: id) }
            if let expiry = remainder.messageExpiry { timetable.arm(.firstMessage(id), at: expiry) }
            if let expiry = remainder.queueExpiry { timetable.arm(.queueExpiry(id), at: expiry) }
        }
        dirty.removeAll(keepingCapacity: true)
    }

    /// Notes that a queue has something to do.
    mutating func markDirty(_ id: QueueID) {
        if dirty.last != id { dirty.append(id) }
    }

    mutating func emit(_ effect: Effect) { effects.append(effect) }

    mutating func record(_ change: @autoclosure () -> BrokerChange) {
        if isJournaled { changes.append(change()) }
    }

    /// What is to be told since the last call.
    mutating func takeEffects() -> [Effect] {
        if effects.isEmpty { return [] }
        defer { effects = [] }
        return effects
    }

    /// What is to be kept since the last call.
    mutating func takeChanges() -> [BrokerChange] {
        if changes.isEmpty { return [] }
        defer { changes = [] }
        return changes
    }

    private mutating func deliver(_ assignment: MessageQueue.Assignment, from id: QueueID) {
        guard let consumption = channels[assignment.channel]?.consumption else { return }
        let delivered = addUnsettled(
            assignment.message,
            from: id,
            consumption.name,
            consumption.kind,
            timeout: consumption.timeout,
            on: assignment.channel
        )
        if let delivered { emit(.deliver(assignment.channel, delivered)) }
    }

    /// Makes a message an unsettled delivery of a channel.
    mutating func addUnsettled(
        _ message: StoredMessage,
        from id: QueueID,
        _ name: String,
        _ kind: QueueKind,
        timeout: Duration?,
        on channel: ChannelID
    ) -> Delivered? {
        let deadline = timeout.map { now + $0 }
        let entry = UnsettledDeliveries.Entry(queue: id, message: message, deadline: deadline)
        guard let tag = channels[channel]?.unsettled.add(entry) else { return nil }
        if let deadline { timetable.arm(.unsettled(channel), at: deadline) }
        totals.delivered += 1
        if message.isRedelivered { totals.redelivered += 1 }
        recordDelivered(message, from: id)
        return Delivered(message: message, kind: kind, queue: name, tag: tag)
    }
}
