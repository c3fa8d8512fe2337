import AMQP

extension StoredContent {
    /// The message as it goes to a dead-letter exchange.
    ///
    /// - Parameter queue: The queue in which it died.
    /// - Parameter time: Whole seconds since 1970.
    func dying(
        in queue: MessageQueue,
        _ reason: DeathReason,
        at time: UInt64,
        features: BrokerFeatures
    ) -> StoredContent {
        var message = message
        var headers = message.properties.headers ?? FieldTable()
        // Before 4.0 what a publisher sent counts too.
        let isKnown = isDeadLettered || features.interpretsPublishedDeathHeaders
        var deaths = isKnown ? headers["x-death"]?.arrayValue ?? [] : []
        let own = deaths.firstIndex { $0.isDeath(in: queue.name, reason) }
        if let own, case .table(var death) = deaths.remove(at: own) {
            death["count"] = .int64((death["count"]?.integerValue ?? 0) + 1)
            deaths.insert(.table(death), at: 0)
        } else {
            deaths.insert(.table(death(in: queue.name, reason, time)), at: 0)
        }
        if !isKnown { headers.removeDeaths() }
        headers["x-death"] = .array(deaths)
        headers.noteDeath("first", in: queue.name, reason, of: destination.exchange, replaces: false)
        if features.marksLastDeath {
            headers.noteDeath("last", in: queue.name, reason, of: destination.exchange, replaces: true)
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
            return table["reason"]?.stringValue != DeathReason.rejected.rawValue
        }
    }

    private func death(in queue: String, _ reason: DeathReason, _ time: UInt64) -> FieldTable {
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
    fileprivate func isDeath(in queue: String, _ reason: DeathReason) -> Bool {
        tableValue?["queue"]?.stringValue == queue && tableValue?["reason"]?.stringValue == reason.rawValue
    }
}

extension FieldTable {
    /// Notes the first or the last death in headers of its own.
    fileprivate mutating func noteDeath(
        _ which: String,
        in queue: String,
        _ reason: DeathReason,
        of exchange: String,
        replaces: Bool
    ) {
        guard replaces || self["x-\(which)-death-reason"] == nil else { return }
        self["x-\(which)-death-exchange"] = .string(exchange)
        self["x-\(which)-death-queue"] = .string(queue)
        self["x-\(which)-death-reason"] = .string(reason.rawValue)
    }

    fileprivate mutating func removeDeaths() {
        removeAll { name, _ in
            name == "x-death" || name.hasPrefix("x-first-death-") || name.hasPrefix("x-last-death-")
        }
    }
}
