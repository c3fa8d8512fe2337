import AMQP

extension BrokerMachine {
    /// What became of a publish.
    enum PublishOutcome: Sendable, Hashable {
        /// Every queue that it goes to has it; there may be none.
        case kept
        /// No queue takes it, and one was demanded.
        case unroutable
        /// A queue that it goes to refused it.
        case nacked
    }

    /// The user that all connections belong to.
    static let userName = "guest"

    /// Takes a message and lets it go to its queues.
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

    /// The queues that a message goes to; `nil` if there is no such exchange.
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
        var outcome = PublishOutcome.kept
        for id in targets where !admit(content, to: id) { outcome = .nacked }
        return outcome
    }

    /// Puts a message into one queue; returns whether that took it.
    mutating func admit(_ content: StoredContent, to id: QueueID, after deliveries: Int = 0) -> Bool {
        let message = queues[id]?.admit(content, after: deliveries, now: now)
        markDirty(id)
        if let message { recordStored(message, in: id) }
        return message != nil
    }
}
