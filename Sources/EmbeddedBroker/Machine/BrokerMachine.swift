import AMQP

/// The broker without clock, lock and streams: requests in, effects out.
///
/// A state machine. ``begin(now:)`` sets the time of a request, which never decreases, and does what was due before it.
/// After the request ``work()`` does all that follows from it: it expires, dead-letters and delivers until nothing is
/// left to do. Consumers are notified through ``takeEffects()``, the journal through ``takeChanges()``.
struct BrokerMachine: Sendable {
    /// A notification for a consumer or a settler.
    enum Effect: Sendable {
        /// A message for the consumer.
        case deliver(ChannelID, Delivered)
        /// The end of the consumer's deliveries, without an error if the client ended them.
        case end(ChannelID, AMQPError?)
        /// The channel is gone, and its unsettled messages were requeued.
        case lose(ChannelID)
        /// The channel's unsettled messages were requeued, and its consumer goes on.
        case resume(ChannelID)
    }

    /// A delivery of a message.
    struct Delivered: Sendable {
        var message: StoredMessage
        var kind: QueueKind
        var queue: String
        var tag: UInt64
    }

    let features: BrokerFeatures
    /// True if changes are recorded for a journal.
    let isJournaled: Bool
    var exchanges = ExchangeTable()
    var queues: [QueueID: MessageQueue] = [:]
    var queueIDs: [String: QueueID] = [:]
    var channels: [ChannelID: Channel] = [:]
    /// The channel used by each connection's gets.
    var getChannels: [ConnectionID: ChannelID] = [:]
    var timetable = Timetable()
    /// The consumer timeout that an operator has set.
    var consumerTimeout: ConsumerTimeout = .byDefault
    var routes = RouteCache()
    var totals = BrokerTotals()
    private var effects: [Effect] = []
    private var changes: [BrokerChange] = []
    private(set) var now: Duration
    /// Queues that may have something to deliver, expire or dead-letter.
    private var dirty: [QueueID] = []
    private var assignments: [MessageQueue.Assignment] = []
    private var lastNumber = 0
    /// Deliveries that were unsettled at the end of the journal, while it is restored.
    var restoredDeliveries: [QueueID: Set<UInt64>] = [:]
    /// The number of queue names that the broker has generated.
    var generatedNameCount = 0

    /// The limit for how long deliveries may be unsettled.
    enum ConsumerTimeout: Sendable, Hashable {
        /// The default of the broker's version.
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

    /// Starts a request: sets the time, and does first what is due by then.
    mutating func begin(now: Duration) {
        self.now = max(self.now, now)
        guard let next = timetable.next, next <= self.now else { return }
        runDue()
        work()
    }

    /// Does what follows from a request, until nothing is left to deliver and no dead letter is on its way.
    mutating func work() {
        var next = 0
        while next < dirty.count {
            let id = dirty[next]
            next += 1
            // Looking the queue up costs, so one call asks for all of it.
            guard let remainder = queues[id]?.assign(now: now, to: &assignments) else { continue }
            for assignment in assignments { deliver(assignment, from: id) }
            assignments.removeAll(keepingCapacity: true)
            if !remainder.deadLetters.isEmpty { deadLetter(remainder.deadLetters, from: id) }
            if !remainder.trimmed.isEmpty { recordTrimmed(remainder.trimmed, of: id) }
            if let expiry = remainder.messageExpiry { timetable.arm(.firstMessage(id), at: expiry) }
            if let expiry = remainder.queueExpiry { timetable.arm(.queueExpiry(id), at: expiry) }
        }
        dirty.removeAll(keepingCapacity: true)
    }

    /// Notes that a queue may have something to do.
    mutating func markDirty(_ id: QueueID) {
        if dirty.last != id { dirty.append(id) }
    }

    mutating func emit(_ effect: Effect) { effects.append(effect) }

    mutating func record(_ change: @autoclosure () -> BrokerChange) {
        if isJournaled { changes.append(change()) }
    }

    /// Returns the effects since the last call.
    mutating func takeEffects() -> [Effect] {
        if effects.isEmpty { return [] }
        defer { effects = [] }
        return effects
    }

    /// Returns the recorded changes since the last call.
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
        guard let delivered else { return }
        emit(.deliver(assignment.channel, delivered))
        if consumption.isAutomaticallyAcknowledged { settle(delivered.tag, on: assignment.channel, .ack) }
    }

    /// Adds a message to the unsettled deliveries of a channel; returns the delivery.
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
