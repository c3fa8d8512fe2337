import AMQP
import Logging
import Synchronization

/// One connection to a broker, and its successors: one thread, this actor, whose executor is that thread, and one socket at a time.
///
/// Callers reach it in two ways. Publishes, settlements and requests go through the thread's mailbox, many at a wake-up, so that no caller
/// waits for a thread that is busy connecting. The rest (consume, close) hops to the actor. The thread takes turns: connect if
/// need be, read what has arrived, settle, publish, sleep. When the socket is lost, the thread makes a new one, declares and consumes again,
/// and sends again what wasn't confirmed: `Recovery/` has the rules of it.
actor Connection {
    nonisolated let thread: ConnectionThread
    /// True once the connection was closed by this program.
    ///
    /// A new one takes its place then.
    nonisolated var isClosed: Bool { closedFlag.load(ordering: .acquiring) }

    let purpose: ConnectionPurpose
    /// One for each endpoint of the broker.
    let configurations: [ConnectionConfiguration]
    let board: StateBoard
    let counters: ClientCounters
    let logger: Logger
    var schedule: ReconnectSchedule
    var socket: BrokerSocket?
    var channels = ChannelTable()
    /// Behind a lock only for the watchdog, which sees to deadlines while the thread is stuck in a call.
    nonisolated let publisher = Mutex(Publisher(isConnected: false))
    var requests: [RequestPurpose: RequestChannel] = [:]
    /// Consumers that wait for a connection.
    var resting: [ConsumerChannel] = []
    /// When resting consumers are tried again although the connection is there: the broker refused them for a passing reason.
    var nextResumption: ContinuousClock.Instant?
    var declared = DeclaredTopology()
    /// Who waits to know the broker's properties.
    var greeters: [Reply<FieldTable>] = []
    var serverProperties: FieldTable?
    /// Reading stopped with more to read.
    var hasMoreToRead = false
    /// When the library must be called again, so that it sends its heartbeat.
    var nextBeat = ContinuousClock.now
    var closeError: AMQPError?
    var closingDeadline: ContinuousClock.Instant?
    /// Who waits for the orderly end; somebody from its beginning on.
    var closers: [Reply<Void>] = []
    private nonisolated let heard = Mutex<ContinuousClock.Instant?>(nil)
    private var openings: UInt64 = 0
    private nonisolated let closedFlag = Atomic(false)

    /// A connection that isn't open yet, to one of several endpoints.
    ///
    /// - Throws: `connectionFailed` if the system has no thread or no file descriptor left.
    init(
        _ configurations: [ConnectionConfiguration],
        purpose: ConnectionPurpose,
        board: StateBoard,
        counters: ClientCounters,
        logger: Logger
    ) throws(AMQPError) {
        precondition(!configurations.isEmpty, "A connection needs an endpoint.")
        // At random, so that the clients of a cluster spread over its nodes.
        self.configurations = configurations.shuffled()
        self.purpose = purpose
        self.board = board
        self.counters = counters
        var logger = logger
        logger[metadataKey: "connection"] = "\(configurations[0].name)"
        self.logger = logger
        schedule = ReconnectSchedule(endpointCount: configurations.count)
        let heartbeat = configurations[0].heartbeat
        thread = try ConnectionThread(longestCall: heartbeat > .zero ? heartbeat : .seconds(30))
        let expire: ConnectionThread.Expiry = { [weak self] now in self?.publisher.withLock { $0.expire(now: now) } }
        thread.begin(expiry: expire) { [weak self] mail, isReadable in
            guard let self else { return ConnectionThread.Rest() }
            return self.assumeIsolated { $0.turn(mail, isReadable: isReadable) }
        }
    }

    isolated deinit {
        thread.setSocket(nil)
        socket = nil
        thread.stop()
    }

    /// When anything last came from the broker.
    nonisolated var heardAt: ContinuousClock.Instant? { heard.withLock(\.self) }

    func noteHeard(at now: ContinuousClock.Instant) { heard.withLock { $0 = now } }

    /// The endpoint in use, or whose turn it is.
    var configuration: ConnectionConfiguration { configurations[schedule.endpoint] }

    // MARK: Life

    /// Waits until the connection is open, and returns what the broker says of itself.
    nonisolated func greeting(deadline: ContinuousClock.Instant) async throws(AMQPError) -> FieldTable {
        let greeting = Reply<FieldTable>()
        thread.post { $0.greet(greeting) }
        let endpoints = configurations.map { "\($0.endpoint)" }.joined(separator: ", ")
        return try await greeting.value(
            until: deadline,
            late: AMQPError(
                .deadlineExceeded,
                "The deadline passed before \(endpoints) had accepted the connection. Nothing was sent."
            ),
            cancelled: AMQPError(
                .connectionClosed,
                "The task was cancelled before the connection was open. Nothing was sent."
            )
        )
    }

    private func greet(_ greeting: Reply<FieldTable>) {
        if let closeError { return greeting.finish(.failure(closeError)) }
        if let serverProperties, socket != nil { return greeting.finish(.success(serverProperties)) }
        greeters.removeAll(where: \.isDone)
        greeters.append(greeting)
    }

    /// Closes in order: the broker gives back what is unsettled.
    ///
    /// Gives up waiting for its answer after a few seconds, also where the connection is just being made.
    nonisolated func close() async {
        let closed = Reply<Void>()
        thread.post { $0.beginToClose(closed) }
        let late = AMQPError(.deadlineExceeded, "The connection took too long to close.")
        try? await closed.value(until: .now + .seconds(6), late: late, cancelled: late)
    }

    private func beginToClose(_ closed: Reply<Void>) {
        let isFirst = closers.isEmpty
        closers.append(closed)
        guard closeError == nil, socket != nil else {
            return end(AMQPError.closedByProgram)
        }
        guard isFirst else { return }
        // A broker that blocks a publisher reads nothing from it, so it may not answer.
        let isBlocked = schedule.state.blockedReason != nil
        closingDeadline = .now + .seconds(isBlocked ? 1 : 5)
        // Asks for no more deliveries first: a quorum queue should have all acknowledgements before the channels go.
        for channel in channels.open {
            guard case .consuming = channel.role else { continue }
            withConsumer(channel.id.number) { $0.cancel(Reply()) }
        }
        sendCloseIfQuiet()
    }

    /// Closes the connection, once no consumer is to be cancelled any more.
    func sendCloseIfQuiet() {
        guard closingDeadline != nil, closeError == nil else { return }
        let isCancelling = channels.open.contains { channel in
            if case .consuming(let consumer) = channel.role { consumer.isCancelling } else { false }
        }
        if !isCancelling { send(.connectionClose, channel: 0) }
    }

    /// Ends the connection for good: everything that waits learns why.
    func end(_ error: AMQPError) {
        if closeError == nil {
            closeError = error
            closedFlag.store(true, ordering: .releasing)
            handOver()
            dropSocket()
            schedule.closed()
            board.set(.closed, of: purpose)
            failWaiting(error)
        }
        for closer in closers { closer.finish(.success(())) }
        closers = []
    }

    // MARK: Channels

    /// Takes a free channel number and asks the broker to open it.
    func openChannel(_ role: ChannelState.Role) -> ChannelID? {
        let isConsumer = if case .consuming = role { true } else { false }
        guard let number = channels.freeNumber(forConsumer: isConsumer) else { return nil }
        openings += 1
        let id = ChannelID(number: number, opening: openings)
        var role = role
        if case .consuming(var consumer) = role {
            consumer.opening(id)
            role = .consuming(consumer)
        }
        channels[number] = ChannelState(id: id, role: role, thread: thread)
        send(.channelOpen, channel: number)
        return id
    }

    /// Sends a method; an error loses the connection.
    func send(_ method: OutboundMethod, channel: UInt16) {
        do throws(AMQPError) {
            try socket?.send(method, channel: channel)
        } catch {
            lose(error)
        }
    }

    func perform(_ action: Publisher.Action?) {
        switch action {
        case .openChannel: _ = openChannel(.publishing)
        case .send(let method, let channel): send(method, channel: channel)
        case nil: break
        }
    }

    func perform(_ action: RequestChannel.Action?, for purpose: RequestPurpose) {
        switch action {
        case .openChannel: _ = openChannel(.requests(purpose))
        case .send(let method, let channel): send(method, channel: channel)
        case nil: break
        }
    }
}

extension AMQPError {
    static func noChannelLeft(_ configuration: ConnectionConfiguration) -> AMQPError {
        AMQPError(
            .refused,
            "All 2047 channels of the connection to \(configuration.endpoint) are in use: close consumers first."
        )
    }
}
