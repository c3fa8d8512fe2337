import AMQP

/// A queue of one broker; a deleted queue that is declared again gets another id.
struct QueueID: Hashable, Sendable { var number: Int }

/// A queue: its ready messages, its consumers, and its limits of time and space.
///
/// A state machine: no clock, no I/O. ``assign(now:to:)`` returns the messages that the broker must dead-letter.
struct MessageQueue: Sendable {
    /// A message for a consumer.
    struct Assignment: Sendable {
        var channel: ChannelID
        var message: StoredMessage
    }

    /// A message to be dead-lettered.
    struct DeadLetter: Sendable {
        var message: StoredMessage
        var reason: DeadLetterReason
        /// Target queues that have accepted it already, if others refused it.
        var delivered: Set<QueueID> = []
    }

    /// The work left to the broker after deliveries were assigned.
    struct Remainder: Sendable {
        var deadLetters: [DeadLetter] = []
        /// The positions of messages that a stream has dropped.
        var trimmed: [UInt64] = []
        /// The time at which the first message expires.
        var messageExpiry: Duration?
        /// The time at which the unused queue expires.
        var queueExpiry: Duration?
    }

    let id: QueueID
    let declaration: QueueDeclaration
    let arguments: FieldTable
    let settings: QueueSettings
    /// The connection that owns an exclusive queue.
    let owner: ConnectionID?
    private(set) var ready: ReadyMessages
    private(set) var consumers: ConsumerRotation
    /// The messages of a stream, which are kept here instead of in ``ready``.
    private var log = StreamLog()
    /// Messages that the broker is still to dead-letter.
    private var deadLetters: [DeadLetter] = []
    /// Dead letters that no queue accepted, if this queue keeps them until one does.
    var undeliveredDeadLetters: [DeadLetter] = []
    /// The time at which it was last declared, consumed or got from, or asked for its status.
    var lastUsed: Duration
    private var hadConsumers = false
    private var lastPosition: UInt64 = 0
    /// True if a quorum queue rejects publishes.
    private var isRejecting = false
    /// The position of the first message since the last assignment, if the queue was empty before it.
    private var firstFreshPosition: UInt64?

    init(
        id: QueueID,
        _ declaration: QueueDeclaration,
        arguments: FieldTable,
        features: BrokerFeatures,
        owner: ConnectionID?,
        now: Duration
    ) {
        self.id = id
        self.declaration = declaration
        self.arguments = arguments
        settings = QueueSettings(arguments, features: features)
        self.owner = owner
        ready = ReadyMessages(settings.priorities)
        consumers = ConsumerRotation(
            singleActive: settings.hasSingleActiveConsumer,
            prefersHigher: settings.kind == .quorum && features.prefersHigherPriorityActiveConsumer
        )
        lastUsed = now
    }

    var name: String { declaration.name }

    /// The reason why single messages can't be got from it; `nil` if they can.
    var getRefusal: BrokerRefusal? {
        if isStream {
            return .notImplemented("basic.get not supported by stream queues queue '\(name)' in vhost '/'")
        }
        guard settings.kind == .quorum, settings.hasSingleActiveConsumer else { return nil }
        return BrokerRefusal(
            405,
            "RESOURCE_LOCKED - cannot obtain access to locked queue '\(name)' in vhost '/'. basic.get operations are not "
                + "supported by quorum queues with single active consumer"
        )
    }

    var isStream: Bool { settings.kind == .stream }

    var status: QueueStatus {
        QueueStatus(name: name, messageCount: isStream ? log.count : ready.count, consumerCount: consumers.count)
    }

    // MARK: Publishing

    /// Returns whether the queue has room for a message.
    func wouldAdmit(size: Int) -> Bool {
        switch settings.overflow {
        case .rejectPublish where settings.kind == .quorum: !isRejecting
        case .rejectPublish, .rejectPublishDLX: !overflows(by: 1, size)
        default: true
        }
    }

    /// Adds a published message; returns the stored message, or `nil` if it doesn't fit.
    ///
    /// - Parameter content: The message.
    /// - Parameter deliveries: The delivery count with which it starts, which a dead letter brings along.
    /// - Parameter now: The time.
    mutating func admit(_ content: StoredContent, after deliveries: Int, now: Duration) -> StoredMessage? {
        guard wouldAdmit(size: content.size) else {
            if settings.overflow == .rejectPublishDLX, settings.deadLetterExchange != nil {
                let message = StoredMessage(content: content, position: StoredMessage.noPosition)
                deadLetters.append(DeadLetter(message: message, reason: .maxLength))
            }
            return nil
        }
        lastPosition += 1
        if isStream {
            let offset = log.append(content, at: now)
            return StoredMessage(content: content, position: offset + 1, expiry: now)
        }
        let properties = content.message.properties
        var message = StoredMessage(content: content, position: lastPosition)
        message.level = settings.level(ofPriority: properties.priority)
        message.expiry = settings.expiry(properties, now)
        message.deliveryCount = deliveries
        message.requeueCount = deliveries
        // A waiting consumer gets the message even if its time to live is zero.
        if ready.isEmpty { firstFreshPosition = lastPosition }
        ready.append(message)
        if settings.kind == .quorum, settings.overflow == .rejectPublish, overflows() { isRejecting = true }
        return message
    }

    /// Restores a message from a journal, replacing the one at its position if there is any.
    mutating func restore(_ persisted: PersistedMessage) {
        remove(position: persisted.position)
        lastPosition = max(lastPosition, persisted.position)
        let content = StoredContent(
            persisted.message,
            to: persisted.destination,
            otherKeys: (try? persisted.message.properties.headers?.keys("CC")) ?? [],
            isDeadLettered: persisted.isDeadLettered
        )
        var message = StoredMessage(content: content, position: persisted.position)
        message.level = settings.level(ofPriority: persisted.message.properties.priority)
        message.expiry = persisted.expiry
        message.deliveryCount = persisted.deliveryCount
        message.requeueCount = persisted.requeueCount
        if isStream {
            log.restore(content, offset: persisted.position - 1, at: persisted.expiry ?? .zero)
        } else {
            ready.insert(message)
        }
    }

    /// Removes a message that a journal reports as removed.
    @discardableResult
    mutating func remove(position: UInt64) -> StoredMessage? { ready.remove(position: position) }

    // MARK: Delivering

    /// Assigns messages to the consumers that have room, oldest first, and removes messages that have expired or exceed
    /// a limit.
    ///
    /// Returns the work left to the broker.
    mutating func assign(now: Duration, to assignments: inout [Assignment]) -> Remainder {
        if isStream {
            let trimmed = log.trim(maxAge: settings.maxAge, maxBytes: settings.maxLengthBytes, now: now)
            log.assign(to: &assignments)
            return Remainder(trimmed: trimmed.map { $0 + 1 })
        }
        let fresh = firstFreshPosition.take()
        if fresh == nil { expire(now) }
        while !ready.isEmpty, let channel = consumers.take() {
            guard var message = ready.popFirst() else { break }
            // A classic queue passes a message to a waiting consumer as new, even if it was delivered in another queue.
            if settings.kind == .classic, let fresh, message.position >= fresh { message.requeueCount = 0 }
            assignments.append(Assignment(channel: channel, message: message))
            expire(now)
        }
        expire(now)
        if settings.overflow == .dropHead { dropHead() }
        if isRejecting, isBelowSoftLimit { isRejecting = false }
        defer { if !deadLetters.isEmpty { deadLetters = [] } }
        return Remainder(deadLetters: deadLetters, messageExpiry: nextMessageExpiry, queueExpiry: queueExpiry)
    }

    /// Takes one message for a get.
    mutating func get(now: Duration) -> StoredMessage? {
        lastUsed = now
        expire(now)
        return ready.popFirst()
    }

    /// Removes and returns all ready messages.
    mutating func purge() -> [StoredMessage] { ready.removeAll() }

    // MARK: Requeueing and rejecting

    /// The cause of a requeue or discard.
    enum RequeueCause: Sendable, Hashable {
        case nack
        case reject
        /// The delivery's channel is gone.
        case channelLost
    }

    /// Requeues a delivery, or dead-letters it if it exceeds the delivery limit.
    ///
    /// Returns the message with its new position and counts.
    mutating func requeue(_ message: StoredMessage, _ cause: RequeueCause, features: BrokerFeatures) -> StoredMessage {
        if isStream { return message }
        var message = message
        if settings.kind == .classic, cause != .nack { message.deliveryCount += 1 }
        message.requeueCount += 1
        if cause == .channelLost { message.lossCount += 1 }
        guard settings.kind == .quorum else {
            ready.insert(message)
            // A classic queue makes room before it serves its consumers.
            if settings.overflow == .dropHead { dropHead() }
            return message
        }
        if cause != .nack || features.nackCountsTowardsDeliveryLimit { message.deliveryCount += 1 }
        if let limit = settings.deliveryLimit, message.deliveryCount > limit {
            deadLetters.append(DeadLetter(message: message, reason: .deliveryLimit))
            return message
        }
        // On all versions messages of a lost channel go to the front.
        if settings.requeuePosition == .back, cause != .channelLost {
            lastPosition += 1
            message.position = lastPosition
            ready.append(message)
        } else {
            ready.appendRequeued(message)
        }
        return message
    }

    /// Dead-letters a message that its consumer has discarded.
    ///
    /// As with a requeue, this counts as a delivery unless the cause is a `nack`.
    mutating func discard(_ message: StoredMessage, _ cause: RequeueCause) {
        if isStream { return }
        var message = message
        if cause != .nack { message.deliveryCount += 1 }
        message.lossCount += 1
        deadLetters.append(DeadLetter(message: message, reason: .rejected))
    }

    // MARK: Consumers

    mutating func addConsumer(_ channel: ChannelID, _ consumption: Channel.Consumption, now: Duration) {
        consumers.add(channel, prefetch: consumption.prefetch, priority: consumption.priority)
        if isStream { log.addReader(channel, prefetch: consumption.prefetch, from: consumption.start) }
        hadConsumers = true
        lastUsed = now
    }

    @discardableResult
    mutating func removeConsumer(_ channel: ChannelID, now: Duration) -> Bool {
        lastUsed = now
        log.removeReader(channel)
        return consumers.remove(channel)
    }

    /// Notes that a consumer has settled a delivery; returns whether a consumer may get another one now.
    mutating func settled(_ channel: ChannelID) -> Bool {
        if isStream { return log.settled(channel) }
        let hasRoom = consumers.settled(channel)
        return (hasRoom || settings.hasSingleActiveConsumer) && !ready.isEmpty
    }

    /// True if the queue is to be deleted because its last consumer is gone.
    var shouldAutoDelete: Bool { declaration.isAutoDelete && hadConsumers && consumers.isEmpty }

    // MARK: Limits

    /// The time at which the first message expires.
    var nextMessageExpiry: Duration? { ready.first?.expiry }

    /// The time at which the unused queue expires; `nil` while it has consumers or never expires.
    var queueExpiry: Duration? {
        guard let expires = settings.expires, consumers.isEmpty else { return nil }
        return lastUsed + expires
    }

    /// Dead-letters expired messages at the front.
    private mutating func expire(_ now: Duration) {
        while let expiry = ready.first?.expiry, expiry <= now, let message = ready.popFirst() {
            deadLetters.append(DeadLetter(message: message, reason: .expired))
        }
    }

    private mutating func dropHead() {
        guard settings.maxLength != nil || settings.maxLengthBytes != nil else { return }
        var surplus: [DeadLetter] = []
        while overflows(), let message = ready.popFirst() {
            surplus.append(DeadLetter(message: message, reason: .maxLength))
        }
        deadLetters += settings.dropsInReverse ? surplus.reversed() : surplus
    }

    /// Returns whether a limit is exceeded, or would be with these additional messages and bytes.
    private func overflows(by messages: Int = 0, _ bytes: Int = 0) -> Bool {
        if let limit = settings.maxLength, ready.count + undeliveredDeadLetters.count + messages > limit { return true }
        if let limit = settings.maxLengthBytes, ready.bytes + bytes > limit { return true }
        return false
    }

    /// True if at most four fifths of the limits are used: then a quorum queue accepts messages again.
    private var isBelowSoftLimit: Bool {
        if let limit = settings.maxLength, ready.count + undeliveredDeadLetters.count > limit * 4 / 5 { return false }
        if let limit = settings.maxLengthBytes, ready.bytes > limit * 4 / 5 { return false }
        return true
    }
}

extension QueueSettings {
    /// The time at which a message with these properties expires if it arrives now; `nil` for never.
    fileprivate func expiry(_ properties: BasicProperties, _ now: Duration) -> Duration? {
        let own = properties.expiration.flatMap { Int64($0) }.map { Duration.milliseconds($0) }
        guard let life = [own, messageTTL].compactMap(\.self).min() else { return nil }
        return now + life
    }
}
