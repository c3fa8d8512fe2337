import AMQP
import Logging
import Synchronization

/// The life of a connection: made, lost, made again, and closed.
extension Connection {
    /// The longest time that declaring again may take; then consumers resume regardless.
    private static let redeclarationTime = Duration.seconds(30)

    // MARK: Opening

    /// Waits until the connection is open, and returns the properties by which the broker describes itself.
    nonisolated func awaitServerProperties(deadline: ContinuousClock.Instant) async throws(AMQPError) -> FieldTable {
        let cancelled = AMQPError.cancelled("Cancelled before the connection was open. Nothing was sent.")
        if Task.isCancelled { throw cancelled }
        let waiter = Reply<FieldTable>()
        thread.post { $0.addServerPropertiesWaiter(waiter) }
        let endpoints = configurations.map { "\($0.endpoint)" }.joined(separator: ", ")
        return try await waiter.value(
            until: deadline,
            late: AMQPError(
                .deadlineExceeded,
                "The deadline passed before \(endpoints) had accepted the connection. Nothing was sent."
            ),
            cancelled: cancelled
        )
    }

    private func addServerPropertiesWaiter(_ waiter: Reply<FieldTable>) {
        if let closeError {
            waiter.finish(.failure(closeError))
            return
        }
        if let serverProperties, socket != nil {
            waiter.finish(.success(serverProperties))
            return
        }
        serverPropertiesWaiters.removeAll(where: \.isDone)
        serverPropertiesWaiters.append(waiter)
    }

    /// Tries the next endpoint if an attempt is due and something needs the connection.
    ///
    /// Blocks this connection's thread, at most for the time limits of connecting.
    func connectIfDue() {
        guard socket == nil, closeError == nil else { return }
        if isNeeded { schedule.demand(at: .now) }
        guard let attempt = schedule.nextAttempt, attempt <= .now else { return }
        report(schedule.state)
        guard let configuration = configurationForLogIn() else { return }
        do throws(AMQPError) {
            let socket = try BrokerSocket.connect(configuration)
            opened(socket)
        } catch {
            renewal.logInFailed(wasSeen: error.reply != nil)
            failed(error)
        }
    }

    private var isNeeded: Bool {
        publisher.withLock(\.hasWaiting) || !suspendedConsumers.isEmpty
            || serverPropertiesWaiters.contains { !$0.isDone }
            || requests.values.contains(where: \.hasWaiting)
    }

    private func opened(_ opened: consuming BrokerSocket) {
        let properties = opened.serverProperties
        // Connecting took its time, which the watchdog must not count against the new socket.
        thread.noteProgress()
        thread.setSocket(opened.descriptor)
        channels = ChannelTable(lastNumber: opened.lastChannel)
        socket = consume opened
        serverProperties = properties
        if let attempt = schedule.state.recoveryAttempt {
            counters.countReconnect()
            logger.info(
                "Connection recovered",
                metadata: [LogKey.endpoint: "\(configuration.endpoint)", LogKey.attempt: "\(attempt)"]
            )
        }
        counters.noteConnected()
        renewal.loggedIn(at: .now)
        schedule.opened(at: .now)
        report(.open)
        nextHeartbeat = .now
        noteReceived(at: .now)
        for waiter in serverPropertiesWaiters { waiter.finish(.success(properties)) }
        serverPropertiesWaiters = []
        resumeWork()
    }

    /// Continues with what waited for the connection, as long as the new one isn't lost in turn.
    private func resumeWork() {
        perform(publisher.withLock { $0.connected() })
        for purpose in requests.keys {
            guard socket != nil else { return }
            perform(requests[purpose]?.connected() ?? nil, for: purpose)
        }
        guard socket != nil else { return }
        let transient = declared.transient
        if !transient.isEmpty { redeclare(transient) }
        resumeConsumers(.now)
    }

    /// Handles a failed attempt to connect.
    ///
    /// - Parameters:
    ///   - error: The reason.
    ///   - endsRound: Whether it would fail at each endpoint.
    func failed(_ error: AMQPError, endsRound: Bool = false) {
        let endpoint = configuration.endpoint
        let givesUp = schedule.failed(
            at: .now,
            hasConnectedBefore: counters.hasConnected,
            endsRound: endsRound
        )
        report(schedule.state)
        if givesUp { return failWaiting(error) }
        logger.log(
            level: schedule.isWorthLogging ? .info : .debug,
            "Connection attempt failed",
            metadata: [LogKey.endpoint: "\(endpoint)", LogKey.error: "\(error)", LogKey.state: "\(schedule.state)"]
        )
        publisher.withLock { $0.noteConnectionError(error) }
    }

    /// Reports a state to the client's users.
    private func report(_ state: ConnectionState) { states.set(state, of: purpose, number: number) }

    // MARK: Loss

    /// Drops the socket; whatever waits continues on the next one.
    func handleLoss(_ error: AMQPError) {
        guard socket != nil else { return }
        guard closeWaiters.isEmpty else { return end(error) }
        if let reply = error.reply, reply.refusesChannels { failOpeningChannels(reply) }
        let fault = error.reply.flatMap { $0.isFault ? $0 : nil }
        let method = faultyMethod
        dropSocket(fault, by: method)
        schedule.lost(at: .now)
        report(schedule.state)
        logger.info("Connection lost; reconnecting", metadata: [LogKey.error: "\(error)"])
        counters.count(resentPublishes: publisher.withLock { $0.connectionLost(error, by: method) })
        for purpose in requests.keys { requests[purpose]?.connectionLost(fault, by: method) }
        retireIfUnused()
    }

    /// Fails whatever waits for the opening of a channel, because the broker allows no more of them: on the next
    /// connection it would only be refused again, and take all others down with it.
    private func failOpeningChannels(_ reply: BrokerReply) {
        let error = AMQPError(
            .refused,
            "\(configuration.endpoint) allows no more channels: \(reply.text). Close consumers first, or raise the limit.",
            reply: reply
        )
        for channel in channels.open {
            guard case .consuming(var consumer) = channel.role, consumer.isOpening else { continue }
            consumer.end(error)
            channel.role = .consuming(consumer)
        }
        for purpose in requests.keys { requests[purpose]?.failToOpen(error) }
        publisher.withLock { $0.failToOpen(error) }
    }

    /// Closes the socket, which ends its channels and suspends their consumers.
    func dropSocket(_ fault: BrokerReply? = nil, by method: UInt32 = 0) {
        thread.setSocket(nil)
        socket = nil
        hasMoreToRead = false
        faultyMethod = 0
        isRedeclaring = false
        isRedeclaringAll = false
        renewal.connectionLost()
        if purpose == .consuming { transientTopology?.lost(declared) }
        suspendConsumers(fault, by: method)
        channels = ChannelTable()
    }

    /// Fails everything that waits for the connection.
    func failWaiting(_ error: AMQPError) {
        publisher.withLock { $0.end(error) }
        for purpose in requests.keys { requests[purpose]?.end(error) }
        for waiter in serverPropertiesWaiters { waiter.finish(.failure(error)) }
        serverPropertiesWaiters = []
        for var consumer in suspendedConsumers { consumer.end(closeWaiters.isEmpty ? error : nil) }
        suspendedConsumers = []
    }

    /// Declares again what may be gone, before all other requests.
    private func redeclare(_ methods: [OutboundMethod]) {
        let channel = requests[.topology, default: RequestChannel(isConnected: socket != nil)]
        requests[.topology] = channel
        isRedeclaring = true
        let deadline = ContinuousClock.now + Self.redeclarationTime
        perform(requests[.topology]?.redeclare(methods, deadline: deadline) ?? nil, for: .topology)
    }

    /// Declares everything again, because a queue turned out to be missing; once, however many consumers find that.
    func redeclareAll() {
        let all = declared.all
        guard !isRedeclaringAll, !all.isEmpty else { return }
        isRedeclaringAll = true
        redeclare(all)
    }

    /// Continues with what waited until everything was declared again.
    func redeclarationEnded() {
        isRedeclaring = false
        isRedeclaringAll = false
        transientTopology?.restored()
    }

    // MARK: Closing

    /// The time that closing may take.
    private static let closingTime = Duration.seconds(5)
    /// The part of the closing time that is left for the broker's answer when confirms don't come.
    private static let answeringTime = Duration.seconds(1)

    /// Closes the connection cleanly: waits for the confirms that are due, then closes; the broker requeues unsettled
    /// deliveries.
    ///
    /// Takes a few seconds at most, even while the connection is being made, and ignores cancellation.
    nonisolated func close() async {
        let closed = Reply<Void>()
        thread.post { $0.beginToClose(closed) }
        await closed.waitRegardless(atMost: Self.closingTime + .seconds(1))
    }

    func beginToClose(_ closed: Reply<Void>) {
        let isFirst = closeWaiters.isEmpty
        closeWaiters.append(closed)
        guard closeError == nil, socket != nil else {
            return end(.closedByProgram)
        }
        guard isFirst else { return }
        // A broker that blocks a publisher doesn't read from its connection, so it may not answer.
        let isBlocked = schedule.state.blockedReason != nil
        closingDeadline = .now + (isBlocked ? Self.answeringTime : Self.closingTime)
        // Stop deliveries first: a quorum queue should get all acknowledgements before the channels are closed.
        for channel in channels.open { withConsumer(channel.id.number) { $0.cancel(nil) } }
        sendCloseIfQuiet(.now)
    }

    /// The next time at which a connection that is being closed has something to do.
    var nextClosingStep: ContinuousClock.Instant? {
        guard let closingDeadline, closeError == nil else { return nil }
        if hasSentClose { return closingDeadline }
        let lastMoment = closingDeadline - Self.answeringTime
        let processed = channels.open.compactMap { $0.recentSettlements.processed(after: .now) }.max()
        return min(processed ?? lastMoment, lastMoment)
    }

    /// Asks the broker to close the connection, once no consumer is being cancelled any more, all publishes are
    /// confirmed, and all settlements processed.
    func sendCloseIfQuiet(_ now: ContinuousClock.Instant) {
        guard let closingDeadline, closeError == nil, !hasSentClose else { return }
        let isQuiet = channels.open.allSatisfy { channel in
            if case .consuming(let consumer) = channel.role, consumer.isCancelling { return false }
            return channel.recentSettlements.processed(after: now) == nil
        }
        let isPublishing = publisher.withLock { $0.status.hasWork }
        guard isQuiet && !isPublishing || now >= closingDeadline - Self.answeringTime else { return }
        hasSentClose = true
        send(.connectionClose, channel: 0)
    }

    /// Closes a connection that was made for one consumer, once that has ended.
    func retireIfUnused() {
        guard isIsolated, closeError == nil, suspendedConsumers.isEmpty else { return }
        let isUsed = channels.open.contains { channel in
            if case .consuming = channel.role { true } else { false }
        }
        if !isUsed { beginToClose(Reply()) }
    }

    /// Ends the connection for good, and fails everything that waits with the reason.
    func end(_ error: AMQPError) {
        if closeError == nil {
            closeError = error
            deliverBatches()
            dropSocket()
            asking?.cancel()
            if purpose == .consuming { transientTopology?.restored() }
            schedule.closed()
            report(.closed)
            failWaiting(error)
        }
        for waiter in closeWaiters { waiter.finish(.success(())) }
        closeWaiters = []
    }

    /// Handles a method that concerns the connection as a whole.
    func handleConnectionMethod(_ method: InboundMethod) throws(AMQPError) {
        switch method {
        case .blocked(let reason):
            publisher.withLock { $0.blockedReason = reason }
            schedule.blocked(reason)
            report(schedule.state)
            logger.info("Broker blocked publishers", metadata: [LogKey.reason: "\(reason)"])
        case .unblocked:
            publisher.withLock { $0.blockedReason = nil }
            schedule.blocked(nil)
            report(schedule.state)
            logger.info("Broker unblocked publishers")
        case .updateSecretOk: secretUpdated()
        case .connectionClose(let reply, let method):
            faultyMethod = method
            if method == OutboundMethod.updateSecretNumber {
                logger.warning(
                    "Broker refused the new secret; logging in again",
                    metadata: [LogKey.endpoint: "\(configuration.endpoint)", LogKey.reason: "\(reply.text)"]
                )
            }
            send(.connectionCloseOk, channel: 0)
            throw AMQPError(
                .connectionClosed,
                "\(configuration.endpoint) closed the connection: \(reply.text) (\(reply.code)).",
                reply: reply
            )
        case .connectionCloseOk:
            throw .closedByProgram
        default: break
        }
    }
}

extension BrokerReply {
    /// True if the broker closed the connection because of an error, perhaps ours, and not at its operator's request
    /// (320).
    var isFault: Bool { code >= 400 }

    /// True if the broker closed the connection because it has too many channels, or its user has.
    ///
    /// In RabbitMQ's words, "number of channels opened (64) has reached the negotiated channel_max (64)" or "number of
    /// channels opened for user 'ada' has reached the maximum allowed limit of (64)" (`rabbit_reader.erl`, 3.10 to
    /// 4.3).
    fileprivate var refusesChannels: Bool { code == 530 && text.contains("number of channels opened") }
}
