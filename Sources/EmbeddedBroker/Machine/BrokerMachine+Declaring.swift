import AMQP

extension BrokerMachine {
    // MARK: Exchanges

    mutating func declare(_ exchange: ExchangeDeclaration) throws(BrokerRefusal) {
        guard ExchangeKind.supported.contains(exchange.kind) else {
            throw BrokerRefusal(503, "COMMAND_INVALID - unknown exchange type '\(exchange.kind.rawValue)'")
        }
        if exchange.name.isEmpty { throw .defaultExchange }
        if let present = exchanges[exchange.name] { return try present.checkEquivalence(with: exchange) }
        if exchange.name.hasPrefix("amq.") { throw .reserved("exchange", exchange.name) }
        if let alternate = exchange.arguments["alternate-exchange"], alternate.stringValue == nil {
            throw .precondition(
                "invalid type '\(alternate.typeName)' for arg 'alternate-exchange' in exchange '\(exchange.name)' in vhost '/'"
            )
        }
        exchanges.add(exchange)
        routes.clear()
        if exchange.isDurable { record(.exchangeDeclared(exchange)) }
    }

    mutating func deleteExchange(_ name: String, ifUnused: Bool) throws(BrokerRefusal) {
        if name.isEmpty { throw .defaultExchange }
        if name.hasPrefix("amq.") {
            throw BrokerRefusal(403, "ACCESS_REFUSED - deletion of system exchange '\(name)' in vhost '/' not allowed")
        }
        if ifUnused, exchanges.isUsed(name) { throw .precondition("exchange '\(name)' in vhost '/' in use") }
        recordRemoved(exchanges.removeExchange(name))
        routes.clear()
    }

    // MARK: Bindings

    mutating func bind(_ binding: Binding, by connection: ConnectionID) throws(BrokerRefusal) {
        if binding.source.isEmpty || binding.target == .exchange("") { throw .defaultExchange }
        guard let source = exchanges[binding.source] else { throw .noExchange(binding.source) }
        switch binding.target {
        case .queue(let name): _ = try queue(name, for: connection)
        case .exchange(let name): if exchanges[name] == nil { throw .noExchange(name) }
        }
        if source.kind == .headers { try binding.checkHeadersMatch(features) }
        if source.kind == .topic { try binding.checkPattern(features) }
        guard exchanges.add(binding) else { return }
        routes.clear()
        if isDurable(binding) { record(.bound(binding)) }
    }

    mutating func unbind(_ binding: Binding, by connection: ConnectionID) throws(BrokerRefusal) {
        if binding.source.isEmpty || binding.target == .exchange("") { throw .defaultExchange }
        if case .queue(let name) = binding.target, queueIDs[name] != nil { _ = try queue(name, for: connection) }
        recordRemoved(exchanges.remove(binding))
        routes.clear()
    }

    // MARK: Queues

    mutating func declare(
        _ declaration: QueueDeclaration,
        by connection: ConnectionID
    ) throws(BrokerRefusal) -> QueueStatus {
        let arguments = declaration.arguments.arguments
        if let id = queueIDs[declaration.name], let present = queues[id] {
            try present.checkEquivalence(with: declaration, arguments, by: connection, features)
            queues[id]?.lastUsed = now
            return present.status
        }
        var declaration = declaration
        if declaration.name.isEmpty {
            // A journal may have restored queues with generated names.
            repeat {
                generatedNameCount += 1
                declaration.name = "amq.gen-\(generatedNameCount)"
            } while queueIDs[declaration.name] != nil
        } else if declaration.name.hasPrefix("amq.") {
            throw .reserved("queue", declaration.name)
        }
        try QueueDeclarationRules(declaration, arguments, features).check()
        let id = add(declaration, arguments, owner: declaration.isExclusive ? connection : nil)
        if declaration.isDurable && !declaration.isExclusive { record(.queueDeclared(declaration)) }
        return queues[id]?.status ?? QueueStatus(name: declaration.name, messageCount: 0, consumerCount: 0)
    }

    @discardableResult
    mutating func add(_ declaration: QueueDeclaration, _ arguments: FieldTable, owner: ConnectionID?) -> QueueID {
        let id = QueueID(number: nextNumber())
        queues[id] = MessageQueue(
            id: id,
            declaration,
            arguments: arguments,
            features: features,
            owner: owner,
            now: now
        )
        queueIDs[declaration.name] = id
        routes.clear()
        armTimer(of: id)
        return id
    }

    /// The status of a queue; asking for it counts as use.
    mutating func status(ofQueue name: String, by connection: ConnectionID) throws(BrokerRefusal) -> QueueStatus {
        let queue = try queue(name, for: connection)
        queues[queue.id]?.lastUsed = now
        return queue.status
    }

    mutating func deleteQueue(
        _ name: String,
        ifUnused: Bool,
        ifEmpty: Bool,
        by connection: ConnectionID
    ) throws(BrokerRefusal) -> Int {
        guard queueIDs[name] != nil else { return 0 }
        let queue = try queue(name, for: connection)
        let flag = ifUnused ? "if-unused" : ifEmpty ? "if-empty" : nil
        if let flag, queue.settings.kind == .quorum {
            throw .notImplemented(
                "cannot delete queue '\(name)' in vhost '/'. queue.delete operations with \(flag) flag set are not supported by quorum queues"
            )
        }
        if !queue.isStream {
            if ifUnused, !queue.consumers.isEmpty { throw .precondition("queue '\(name)' in vhost '/' in use") }
            if ifEmpty, queue.status.messageCount > 0 { throw .precondition("queue '\(name)' in vhost '/' not empty") }
        }
        remove(queue.id)
        return queue.status.messageCount
    }

    mutating func purgeQueue(_ name: String, by connection: ConnectionID) throws(BrokerRefusal) -> Int {
        let queue = try queue(name, for: connection)
        if queue.isStream {
            throw .notImplemented("queue.purge not supported by stream queues queue '\(name)' in vhost '/'")
        }
        let purged = queues[queue.id]?.purge() ?? []
        for message in purged { recordRemoved(message, from: queue) }
        return purged.count
    }

    /// A queue that a connection may use.
    func queue(_ name: String, for connection: ConnectionID) throws(BrokerRefusal) -> MessageQueue {
        guard let id = queueIDs[name], let queue = queues[id] else { throw .noQueue(name) }
        if let owner = queue.owner, owner != connection { throw .locked(name) }
        return queue
    }

    /// Removes a queue with its messages, and ends its consumers.
    mutating func remove(_ id: QueueID) {
        guard let queue = queues.removeValue(forKey: id) else { return }
        queueIDs[queue.name] = nil
        routes.clear()
        if queue.declaration.isDurable && queue.owner == nil { record(.queueDeleted(queue.name)) }
        recordRemoved(exchanges.removeQueue(queue.name))
        for event in [Timetable.Event.firstMessage(id), .queueExpiry(id), .deadLetters(id)] { timetable.disarm(event) }
        for channel in queue.consumers.all {
            channels[channel]?.isConsuming = false
            emit(.end(channel, .consumerCancelled(queue: queue.name)))
        }
    }

    private mutating func recordRemoved(_ removed: ExchangeTable.Removal) {
        guard isJournaled else { return }
        for binding in removed.bindings { record(.unbound(binding)) }
        for exchange in removed.exchanges { record(.exchangeDeleted(exchange)) }
    }

    func isDurable(_ binding: Binding) -> Bool {
        guard exchanges[binding.source]?.declaration.isDurable == true else { return false }
        switch binding.target {
        case .exchange(let name): return exchanges[name]?.declaration.isDurable == true
        case .queue(let name):
            guard let id = queueIDs[name], let queue = queues[id] else { return false }
            return queue.declaration.isDurable && queue.owner == nil
        }
    }
}

extension ExchangeKind {
    /// The kinds that the broker supports.
    fileprivate static let supported: [ExchangeKind] = [.direct, .fanout, .topic, .headers]
}
