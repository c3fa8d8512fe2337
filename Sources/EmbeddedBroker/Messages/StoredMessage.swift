import AMQP

/// What was published, shared by all queues that hold it.
final class StoredContent: Sendable {
    let message: Message
    let destination: Destination
    /// Further routing keys, of the headers `CC` and `BCC`.
    let otherKeys: [String]
    /// Whether the broker wrote the `x-death` headers.
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

    var size: Int { message.body.count }
}

extension StoredContent {
    /// A message that a client publishes: `BCC` is for the broker only and isn't passed on.
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
}

/// A message in a queue, or delivered from it and unsettled.
struct StoredMessage: Sendable {
    /// The position of a message that was never in its queue.
    static let noPosition: UInt64 = 0

    var content: StoredContent
    /// Its place: later messages have higher numbers.
    var position: UInt64
    /// When it expires, as time since 1970; in a stream, when it came.
    var expiry: Duration?
    /// The priority by which the queue sorts it.
    var level: Int = 0
    /// How often it came back and that counted.
    var deliveryCount = 0
    /// How often it came back.
    var requeueCount = 0
    /// How often a consumer was lost with it, or discarded it.
    var lossCount = 0

    var isRedelivered: Bool { requeueCount > 0 }
}

extension StoredMessage {
    /// The message as a consumer gets it from a queue of a kind.
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

/// Why a message left a queue without having been dealt with.
enum DeadLetterReason: String, Sendable, Hashable {
    case rejected
    case expired
    case maxLength = "maxlen"
    case deliveryLimit = "delivery_limit"
}

extension StoredContent {
    /// The message as it goes to a dead-letter exchange.
    ///
    /// - Parameter queue: The queue in which it died.
    /// - Parameter time: Whole seconds since 1970.
    func deadLettered(
        from queue: MessageQueue,
        _ reason: DeadLetterReason,
        at time: UInt64,
        features: BrokerFeatures
    ) -> StoredContent {
        var message = message
        var headers = message.properties.headers ?? FieldTable()
        // Before 4.0 what a publisher sent counts too.
        let isKnown = isDeadLettered || features.interpretsPublishedDeathHeaders
        var deaths = isKnown ? headers["x-death"]?.arrayValue ?? [] : []
        let own = deaths.firstIndex { $0.isDeathRecord(in: queue.name, reason) }
        if let own, case .table(var death) = deaths.remove(at: own) {
            death["count"] = .int64((death["count"]?.integerValue ?? 0) + 1)
            deaths.insert(.table(death), at: 0)
        } else {
            deaths.insert(.table(death(in: queue.name, reason, time)), at: 0)
        }
        if !isKnown { headers.removeDeathHeaders() }
        headers["x-death"] = .array(deaths)
        headers.setDeathHeaders("first", in: queue.name, reason, of: destination.exchange, replaces: false)
        if features.marksLastDeath {
            headers.setDeathHeaders("last", in: queue.name, reason, of: destination.exchange, replaces: true)
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

    /// Whether the message has been in a queue before and came here with nobody having rejected it since: then it would go round for ever.
    func wouldCycle(into queue: String) -> Bool {
        let deaths = message.properties.headers?["x-death"]?.arrayValue ?? []
        guard let index = deaths.firstIndex(where: { $0.tableValue?["queue"]?.stringValue == queue }) else {
            return false
        }
        return deaths[...index].allSatisfy { death in
            guard let table = death.tableValue else { return false }
            return table["reason"]?.stringValue != DeadLetterReason.rejected.rawValue
        }
    }

    private func death(in queue: String, _ reason: DeadLetterReason, _ time: UInt64) -> FieldTable {
        var death: FieldTable = [
            "count": .int64(1),
            "reason": .string(reason.rawValue),
            "queue": .string(queue),
            "time": .timestamp(time),
            "exchange": .string(destination.exchange),
            "routing-keys": .array(([destination.routingKey] + otherKeys).map(FieldValue.string)),
        ]
        death["original-expiration"] = message.properties.expiration.map(FieldValue.string)
        return death
    }
}

extension FieldValue {
    fileprivate func isDeathRecord(in queue: String, _ reason: DeadLetterReason) -> Bool {
        tableValue?["queue"]?.stringValue == queue && tableValue?["reason"]?.stringValue == reason.rawValue
    }
}

extension FieldTable {
    /// Notes the first or the last death in headers of its own.
    fileprivate mutating func setDeathHeaders(
        _ which: String,
        in queue: String,
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
