import AMQP

extension BrokerMachine {
    /// The result of a publish.
    enum PublishOutcome: Sendable, Hashable {
        /// Every target queue has the message; there may be none.
        case accepted
        /// The message is mandatory and reached no queue.
        case unroutable
        /// A target queue refused the message.
        case nacked
    }

    /// The user of all connections.
    static let userName = "guest"

    /// Routes a message to its queues.
    mutating func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool
    ) throws(BrokerRefusal) -> PublishOutcome {
        guard message.body.count <= features.maximumMessageSize else {
            throw .precondition(
                "message size \(message.body.count) is larger than configured max size \(features.maximumMessageSize)"
            )
        }
        if let user = message.properties.userID, user != Self.userName {
            throw .precondition("user_id property set to '\(user)' but authenticated user was '\(Self.userName)'")
        }
        if let targets = routes[destination] {
            let hasOtherKeys = message.properties.headers.map { $0["CC"] != nil || $0["BCC"] != nil } ?? false
            if !hasOtherKeys {
                totals.published += 1
                if mandatory && targets.isEmpty { return .unroutable }
                return enqueue(StoredContent(message, to: destination), targets)
            }
        }
        guard let exchange = exchanges[destination.exchange] else { throw .noExchange(destination.exchange) }
        if exchange.declaration.isInternal {
            throw BrokerRefusal(
                403,
                "ACCESS_REFUSED - cannot publish to internal exchange '\(destination.exchange)' in vhost '/'"
            )
        }
        let content = try StoredContent(publishing: message, to: destination)
        totals.published += 1
        let targets = self.targets(of: content) ?? []
        if mandatory && targets.isEmpty { return .unroutable }
        return enqueue(content, targets)
    }

    /// The target queues of a message; `nil` if the exchange doesn't exist.
    mutating func targets(of content: StoredContent) -> [QueueID]? {
        if content.otherKeys.isEmpty, let known = routes[content.destination] { return known }
        let keys = [content.destination.routingKey] + content.otherKeys
        let route = exchanges.route(content.message, from: content.destination.exchange, keys: keys) {
            queueIDs[$0] != nil
        }
        guard let route else { return nil }
        let targets = route.queues.compactMap { queueIDs[$0] }
        if route.isByKey && content.otherKeys.isEmpty { routes.store(targets, for: content.destination) }
        return targets
    }

    /// Puts a message into queues.
    private mutating func enqueue(_ content: StoredContent, _ targets: [QueueID]) -> PublishOutcome {
        var outcome = PublishOutcome.accepted
        for id in targets where !admit(content, to: id) { outcome = .nacked }
        return outcome
    }

    /// Puts a message into one queue; returns whether the queue accepted it.
    mutating func admit(_ content: StoredContent, to id: QueueID, after deliveries: Int = 0) -> Bool {
        let message = queues[id]?.admit(content, after: deliveries, now: now)
        markDirty(id)
        if let message { recordStored(message, in: id) }
        return message != nil
    }
}
