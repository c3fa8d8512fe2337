import AMQP
import Logging
import Synchronization

/// How a connection is made, lost, and made again.
extension Connection {
    /// How long what is declared again may take; then consumers go on without.
    private static let redeclarationTime = Duration.seconds(30)
    /// How long a consumer rests whose queue another connection has to itself: often this client's own last one, not yet given up.
    private static let lockedQueuePause = Duration.seconds(1)

    /// Tries the next endpoint if it is time to, and somebody needs the connection.
    ///
    /// Blocks this connection's own thread, for the time limits of connecting at most.
    func connectIfDue() {
        guard socket == nil, closeError == nil else { return }
        if isNeeded { schedule.demand(at: .now) }
        guard let attempt = schedule.nextAttempt, attempt <= .now else { return }
        board.set(schedule.state, of: purpose)
        do throws(AMQPError) {
            let socket = try BrokerSocket.connect(configuration)
            opened(socket)
        } catch {
            failed(error)
        }
    }

    private var isNeeded: Bool {
        publisher.withLock(\.hasWaiting) || !resting.isEmpty || greeters.contains { !$0.isDone }
            || requests.values.contains(where: \.hasWaiting)
    }

    private func opened(_ opened: consuming BrokerSocket) {
        let properties = opened.serverProperties
        thread.setSocket(opened.descriptor)
        socket = consume opened
        serverProperties = properties
        if let attempt = schedule.state.recoveryAttempt {
            counters.countReconnect()
            logger.info(
                "connection recovered",
                metadata: ["endpoint": "\(configuration.endpoint)", "attempt": "\(attempt)"]
            )
        }
        counters.noteReached()
        schedule.opened(at: .now)
        board.set(.open, of: purpose)
        nextBeat = .now
        noteHeard(at: .now)
        for greeter in greeters { greeter.finish(.success(properties)) }
        greeters = []
        perform(publisher.withLock { $0.connected() })
        for purpose in requests.keys { perform(requests[purpose]?.connected() ?? nil, for: purpose) }
        if !resting.isEmpty { redeclare(declared.transient) }
        resumeConsumers()
    }

    private func failed(_ error: AMQPError) {
        let endpoint = configuration.endpoint
        let isOver = schedule.failed(
            at: .now,
            wasReached: counters.wasReached
        )
        board.set(schedule.state, of: purpose)
        if isOver { return failWaiting(error) }
        logger.log(
            level: schedule.isWorthTelling ? .info : .debug,
            "connection attempt failed",
            metadata: ["endpoint": "\(endpoint)", "error": "\(error)", "state": "\(schedule.state)"]
        )
        publisher.withLock { $0.noteLoss(error) }
    }

    /// Drops the socket; what waits will go on over the next one.
    func lose(_ error: AMQPError) {
        guard socket != nil else { return }
        guard closers.isEmpty else { return end(error) }
        dropSocket()
        schedule.lost(at: .now)
        board.set(schedule.state, of: purpose)
        logger.info("connection lost, will be made again", metadata: ["error": "\(error)"])
        counters.count(resentPublishes: publisher.withLock { $0.connectionLost(error) })
        for purpose in requests.keys { requests[purpose]?.connectionLost() }
    }

    /// Closes the socket; its channels are gone, and their consumers rest.
    func dropSocket() {
        thread.setSocket(nil)
        socket = nil
        hasMoreToRead = false
        nextResumption = nil
        for channel in channels.open {
            channel.settler.lose()
            switch channel.role {
            case .consuming(var consumer):
                if consumer.connectionLost() { resting.append(consumer) }
            case .flushing(let reply), .closing(let reply): reply?.finish(.success(()))
            case .publishing, .requests: break
            }
        }
        channels = ChannelTable()
    }

    /// Fails all that waits for the connection.
    func failWaiting(_ error: AMQPError) {
        publisher.withLock { $0.end(error) }
        for purpose in requests.keys { requests[purpose]?.end(error) }
        for greeter in greeters { greeter.finish(.failure(error)) }
        greeters = []
        for var consumer in resting { consumer.end(closers.isEmpty ? error : nil) }
        resting = []
    }

    private func redeclare(_ methods: [OutboundMethod]) {
        guard !methods.isEmpty else { return }
        let action = requests[.topology, default: RequestChannel()].redeclare(
            methods,
            deadline: .now + Self.redeclarationTime
        )
        perform(action, for: .topology)
    }

    // MARK: Consumers

    /// Registers the consumers that rest, once what they need is declared again.
    func resumeConsumers() {
        guard socket != nil, !resting.isEmpty, requests[.topology]?.isRedeclaring != true else { return }
        if let nextResumption, nextResumption > .now { return }
        nextResumption = nil
        let consumers = resting
        resting = []
        for var consumer in consumers where !consumer.isUnwanted {
            if openChannel(.consuming(consumer)) == nil { consumer.end(.noChannelLeft(configuration)) }
        }
    }

    /// The broker closed a consumer's channel: what it consumed may have to be declared again, or will be free in a moment.
    func channelClosed(of consumer: consuming ConsumerChannel, _ reply: BrokerReply) {
        switch consumer.channelClosed(reply) {
        case .redeclare:
            resting.append(consumer)
            redeclare(declared.all)
            resumeConsumers()
        case .rest:
            resting.append(consumer)
            nextResumption = .now + Self.lockedQueuePause
        case .ended: break
        }
    }
}
