import AMQP

/// A message in a queue, or delivered from it and unsettled.
struct StoredMessage: Sendable {
    /// The position of a message that was never in its queue.
    static let noPosition: UInt64 = 0

    var content: StoredContent
    /// The message's position in the queue; later messages have higher ones.
    var position: UInt64
    /// The time of its expiry, since 1970; in a stream, the time at which it arrived.
    var expiry: Duration?
    /// The priority level at which the queue holds it.
    var level: Int = 0
    /// The number of requeues that count towards the delivery limit.
    var deliveryCount = 0
    /// The number of all requeues.
    var requeueCount = 0
    /// The number of times that its consumer was lost or discarded it.
    var lossCount = 0

    var isRedelivered: Bool { requeueCount > 0 }

    /// The message as delivered from a queue of a kind, with that kind's headers.
    func delivered(from kind: QueueKind, _ features: BrokerFeatures) -> Message {
        if kind == .stream { return adding("x-stream-offset", .int64(Int64(position - 1))) }
        guard kind == .quorum else { return content.message }
        let counts = deliveryCount > 0 || features.countsFirstDelivery
        let acquires = requeueCount > 0 && features.marksAcquiredCount
        guard counts || acquires else { return content.message }
        var message = content.message
        var headers = message.properties.headers ?? FieldTable()
        if counts { headers["x-delivery-count"] = .int64(Int64(deliveryCount)) }
        if acquires { headers["x-acquired-count"] = .int64(Int64(requeueCount)) }
        message.properties.headers = headers
        return message
    }

    private func adding(_ name: String, _ value: FieldValue) -> Message {
        var message = content.message
        var headers = message.properties.headers ?? FieldTable()
        headers[name] = value
        message.properties.headers = headers
        return message
    }
}

/// A published message, shared by all queues that hold it.
final class StoredContent: Sendable {
    let message: Message
    let destination: Destination
    /// More routing keys, from the headers `CC` and `BCC`.
    let otherKeys: [String]
    /// True if the `x-death` headers come from the broker rather than the publisher.
    let isDeadLettered: Bool

    init(
        _ message: Message,
        to destination: Destination,
        otherKeys: [String] = [],
        isDeadLettered: Bool = false
    ) {
        self.message = message
        self.destination = destination
        self.otherKeys = otherKeys
        self.isDeadLettered = isDeadLettered
    }

    /// A message published by a client: `BCC` is meant for the broker only and is removed.
    convenience init(publishing message: Message, to destination: Destination) throws(BrokerRefusal) {
        guard let headers = message.properties.headers, headers["CC"] != nil || headers["BCC"] != nil else {
            self.init(message, to: destination)
            return
        }
        let otherKeys = try headers.keys("CC") + headers.keys("BCC")
        var message = message
        message.properties.headers?["BCC"] = nil
        self.init(message, to: destination, otherKeys: otherKeys)
    }

    var size: Int { message.body.count }

    // MARK: Dead-lettering

    /// The message as sent to a dead-letter exchange, with its death recorded in the `x-death` headers.
    ///
    /// - Parameter queue: The queue that dead-letters it.
    /// - Parameter reason: The reason for it.
    /// - Parameter time: The time of it, in whole seconds since 1970.
    /// - Parameter features: The features of the broker's version.
    func deadLettered(
        from queue: MessageQueue,
        _ reason: DeadLetterReason,
        at time: UInt64,
        features: BrokerFeatures
    ) -> StoredContent {
        var message = message
        var headers = message.properties.headers ?? FieldTable()
        // Before 4.0 the broker also counts records that a publisher sent.
        let keepsRecords = isDeadLettered || features.interpretsPublishedDeathHeaders
        var records = keepsRecords ? headers["x-death"]?.arrayValue ?? [] : []
        let own = records.firstIndex { $0.isDeathRecord(of: queue.name, reason) }
        if let own, case .table(var record) = records.remove(at: own) {
            record["count"] = .int64((record["count"]?.integerValue ?? 0) + 1)
            records.insert(.table(record), at: 0)
        } else {
            records.insert(.table(deathRecord(of: queue.name, reason, time)), at: 0)
        }
        if !keepsRecords { headers.removeDeathHeaders() }
        headers["x-death"] = .array(records)
        headers.setDeathHeaders("first", to: queue.name, reason, of: destination.exchange, replaces: false)
        if features.marksLastDeath {
            headers.setDeathHeaders("last", to: queue.name, reason, of: destination.exchange, replaces: true)
        }
        message.properties.expiration = nil
        let newKey = queue.settings.deadLetterRoutingKey
        if newKey != nil { headers["CC"] = nil }
        message.properties.headers = headers
        return StoredContent(
            message,
            to: Destination(
                exchange: queue.settings.deadLetterExchange ?? "",
                routingKey: newKey ?? destination.routingKey
            ),
            otherKeys: newKey == nil ? otherKeys : [],
            isDeadLettered: true
        )
    }

    /// Returns whether the message would return to a queue that it was in before, although no consumer has rejected it
    /// since: it would cycle endlessly.
    func wouldCycle(into queue: String) -> Bool {
        let records = message.properties.headers?["x-death"]?.arrayValue ?? []
        guard let index = records.firstIndex(where: { $0.tableValue?["queue"]?.stringValue == queue }) else {
            return false
        }
        return records[...index].allSatisfy { record in
            guard let table = record.tableValue else { return false }
            return table["reason"]?.stringValue != DeadLetterReason.rejected.rawValue
        }
    }

    private func deathRecord(of queue: String, _ reason: DeadLetterReason, _ time: UInt64) -> FieldTable {
        var record: FieldTable = [
            "count": .int64(1),
            "reason": .string(reason.rawValue),
            "queue": .string(queue),
            "time": .timestamp(time),
            "exchange": .string(destination.exchange),
            "routing-keys": .array(([destination.routingKey] + otherKeys).map(FieldValue.string)),
        ]
        record["original-expiration"] = message.properties.expiration.map(FieldValue.string)
        return record
    }
}

/// The reason why a message was dead-lettered, in RabbitMQ's words.
enum DeadLetterReason: String, Sendable, Hashable {
    case rejected
    case expired
    case maxLength = "maxlen"
    case deliveryLimit = "delivery_limit"
}

extension FieldTable {
    /// The routing keys in a header.
    func keys(_ name: String) throws(BrokerRefusal) -> [String] {
        guard let value = self[name] else { return [] }
        guard let elements = value.arrayValue else {
            throw .precondition("invalid message: {unacceptable_type_in_header,\"\(name)\",\(value.typeName)}")
        }
        return elements.compactMap(\.stringValue)
    }

    /// Sets the headers of the first or the last death.
    fileprivate mutating func setDeathHeaders(
        _ which: String,
        to queue: String,
        _ reason: DeadLetterReason,
        of exchange: String,
        replaces: Bool
    ) {
        guard replaces || self["x-\(which)-death-reason"] == nil else { return }
        self["x-\(which)-death-exchange"] = .string(exchange)
        self["x-\(which)-death-queue"] = .string(queue)
        self["x-\(which)-death-reason"] = .string(reason.rawValue)
    }

    fileprivate mutating func removeDeathHeaders() {
        removeAll { name, _ in
            name == "x-death" || name.hasPrefix("x-first-death-") || name.hasPrefix("x-last-death-")
        }
    }
}

extension FieldValue {
    fileprivate func isDeathRecord(of queue: String, _ reason: DeadLetterReason) -> Bool {
        tableValue?["queue"]?.stringValue == queue && tableValue?["reason"]?.stringValue == reason.rawValue
    }
}
