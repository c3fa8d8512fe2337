import AMQP

/// A queue of one broker; a queue declared anew under an old name is another.
struct QueueID: Hashable, Sendable { var number: Int }

/// A queue: what waits in it, who reads it, and what it does when it is full or a message has waited too long.
///
/// A state machine: no clock, no I/O. What it lets go of without its being dealt with is in ``dead`` for the broker to take.
struct MessageQueue: Sendable {
    /// A message for a consumer.
    struct Assignment: Sendable {
        var channel: ChannelID
        var message: StoredMessage
    }

    /// A message that leaves the queue undone.
    struct DeadLetter: Sendable {
        var message: StoredMessage
        var reason: DeadLetterReason
        /// Queues that have it already, where others refused it.
        var delivered: Set<QueueID> = []
    }

    /// What is left to do after deliveries were assigned.
    struct Remainder: Sendable {
        var deadLetters: [DeadLetter] = []
        /// The positions of what a stream has dropped.
        var trimmed: [UInt64] = []
        /// When the first message expires.
        var messageExpiry: Duration?
        /// When the queue goes for not being used.
        var queueExpiry: Duration?
    }

    let id: QueueID
    let declaration: QueueDeclaration
    let arguments: FieldTable
    let settings: QueueSettings
    /// The connection that has the queue to itself.
    let owner: ConnectionID?
    private(set) var ready: ReadyMessages
    private(set) var consumers: ConsumerRotation
    /// What a stream holds, instead of ``ready``.
    private(set) var log = StreamLog()
    /// Messages that left undone and are still to be dead-lettered.
    private(set) var deadLetters: [DeadLetter] = []
    /// Dead letters that no queue took, of a queue that keeps them until one does.
    var undeliveredDeadLetters: [DeadLetter] = []
    /// When somebody last declared it, asked for its status, consumed or got from it.
    var lastUsed: Duration
    private(set) var hadConsumers = false
    private var lastPosition: UInt64 = 0
    /// Whether a quorum queue has told publishers to stop.
    private var isRejecting = false
    /// The first message of those that came just now, if the queue was empty before.
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

    /// Why nobody can take single messages from it; `nil` if that is possible.
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

    // MARK: Coming in

    /// Whether a message would be kept.
    func wouldAdmit(size: Int) -> Bool {
        switch settings.overflow {
        case .rejectPublish where settings.kind == .quorum: !isRejecting
        case .rejectPublish, .rejectPublishDLX: !overflows(by: 1, size)
        default: true
        }
    }

    /// Takes a published message; returns it as it waits, or `nil` if there is no room for it.
    ///
    /// - Parameter deliveries: How many count that it had in the queue it died in.
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
        // A consumer that waits gets the message even if it may not wait at all.
        if ready.isEmpty { firstFreshPosition = lastPosition }
        ready.append(message)
        if settings.kind == .quorum, settings.overflow == .rejectPublish, overflows() { isRejecting = true }
        return message
    }

    /// Puts back a message that a journal kept, instead of the one at its position if there is one.
    mutating func restore(_ kept: PersistedMessage) {
        remove(position: kept.position)
        lastPosition = max(lastPosition, kept.position)
        let content = StoredContent(
            kept.message,
            to: kept.destination,
            otherKeys: (try? kept.message.properties.headers?.keys("CC")) ?? [],
            isDeadLettered: kept.isDeadLettered
        )
        var message = StoredMessage(content: content, position: kept.position)
        message.level = settings.level(ofPriority: kept.message.properties.priority)
        message.expiry = kept.expiry
        message.deliveryCount = kept.deliveryCount
        message.requeueCount = kept.requeueCount
        if isStream {
            log.restore(content, offset: kept.position - 1, at: kept.expiry ?? .zero)
        } else {
            ready.insert(message)
        }
    }

    /// Removes a message that a journal says is gone.
    @discardableResult
    mutating func remove(position: UInt64) -> StoredMessage? { ready.remove(position: position) }

    // MARK: Going out

    /// Hands messages to the consumers that have room, oldest first, and drops those that have expired or for which there is no room.
    ///
    /// Returns what else there is to do.
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
            // A classic queue hands on what a consumer waits for, and doesn't look at what was before.
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

    /// Takes one message for somebody who asked for one.
    mutating func get(now: Duration) -> StoredMessage? {
        lastUsed = now
        expire(now)
        return ready.popFirst()
    }

    /// Removes all that is ready, and returns it.
    mutating func purge() -> [StoredMessage] { ready.removeAll() }

    // MARK: Coming back

    /// How a delivery came back.
    enum RequeueCause: Sendable, Hashable {
        case nack
        case reject
        /// Its channel is gone.
        case channelLost
    }

    /// Takes a delivery back, to be delivered again, or finds that it has come back too often.
    ///
    /// Returns it as it waits then.
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
        // Those of a lost channel go to the front on all versions.
        if settings.requeuePosition == .back, cause != .channelLost {
            lastPosition += 1
            message.position = lastPosition
            ready.append(message)
        } else {
            ready.appendRequeued(message)
        }
        return message
    }

    /// A consumer gives a message up.
    ///
    /// That counts as a delivery, except for a `nack`, as with a message that goes back.
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

    /// A consumer has settled a delivery; returns whether somebody may have another now.
    mutating func settled(_ channel: ChannelID) -> Bool {
        if isStream { return log.settled(channel) }
        let hasRoom = consumers.settled(channel)
        return (hasRoom || settings.hasSingleActiveConsumer) && !ready.isEmpty
    }

    /// Whether the queue goes now, because its last consumer did.
    var shouldAutoDelete: Bool { declaration.isAutoDelete && hadConsumers && consumers.isEmpty }

    // MARK: Time and room

    /// When the message at the front expires.
    var nextMessageExpiry: Duration? { ready.first?.expiry }

    /// When the queue goes for not being used.
    var queueExpiry: Duration? {
        guard let expires = settings.expires, consumers.isEmpty else { return nil }
        return lastUsed + expires
    }

    /// Lets go of messages at the front that have waited too long.
    mutating func expire(_ now: Duration) {
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

    /// Whether there are too many messages or bytes, or would be with so many more.
    private func overflows(by messages: Int = 0, _ bytes: Int = 0) -> Bool {
        if let limit = settings.maxLength, ready.count + undeliveredDeadLetters.count + messages > limit { return true }
        if let limit = settings.maxLengthBytes, ready.bytes + bytes > limit { return true }
        return false
    }

    /// A quorum queue takes messages again when four fifths of its limits are kept.
    private var isBelowSoftLimit: Bool {
        if let limit = settings.maxLength, ready.count + undeliveredDeadLetters.count > limit * 4 / 5 { return false }
        if let limit = settings.maxLengthBytes, ready.bytes > limit * 4 / 5 { return false }
        return true
    }
}

extension QueueSettings {
    /// When a message with these properties expires that comes now.
    fileprivate func expiry(_ properties: BasicProperties, _ now: Duration) -> Duration? {
        let own = properties.expiration.flatMap { Int64($0) }.map { Duration.milliseconds($0) }
        guard let life = [own, messageTTL].compactMap(\.self).min() else { return nil }
        return now + life
    }
}
