import AMQP
import Logging
import Synchronization

/// One connection to a broker: one socket, one thread, and this actor, whose executor is that thread.
///
/// Callers reach it in two ways. Calls (open, declare, consume, close) hop to the actor. Publishes and settlements go through the
/// thread's mailbox, many at a wake-up. The thread takes turns: read what has arrived, settle, publish, sleep.
actor Connection {
    nonisolated let thread: ConnectionThread
    /// True once the connection can't be used any more.
    ///
    /// A new one takes its place then.
    nonisolated var isClosed: Bool { closedFlag.load(ordering: .acquiring) }
    /// True from log-in to the end.
    nonisolated var isOpen: Bool { openFlag.load(ordering: .acquiring) }

    let configuration: ConnectionConfiguration
    let logger: Logger
    var socket: BrokerSocket?
    var channels = ChannelTable()
    var publisher = Publisher()
    var requests: [RequestPurpose: RequestChannel] = [:]
    /// Reading stopped with more to read.
    var hasMoreToRead = false
    /// When the library must be called again, so that it sends its heartbeat.
    var nextBeat = ContinuousClock.now
    var closeError: AMQPError?
    var closingDeadline: ContinuousClock.Instant?
    /// Who waits for the orderly end; somebody from its beginning on.
    private var closers: [Reply<Void>] = []
    private var openings: UInt64 = 0
    private nonisolated let closedFlag = Atomic(false)
    private nonisolated let openFlag = Atomic(false)

    /// A connection that isn't open yet.
    ///
    /// - Throws: `connectionFailed` if the system has no thread or no file descriptor left.
    init(_ configuration: ConnectionConfiguration, logger: Logger) throws(AMQPError) {
        self.configuration = configuration
        self.logger = logger
        thread = try ConnectionThread()
        thread.begin { [weak self] mail, isReadable in
            guard let self else { return ConnectionThread.Rest() }
            return self.assumeIsolated { $0.turn(mail, isReadable: isReadable) }
        }
    }

    isolated deinit {
        socket = nil
        thread.stop()
    }

    // MARK: Life

    /// Connects and logs in, once: later calls find it done, or failed.
    ///
    /// Blocks this connection's own thread only.
    func open() throws(AMQPError) {
        if let closeError { throw closeError }
        guard socket == nil else { return }
        do throws(AMQPError) {
            socket = try BrokerSocket.connect(configuration)
            openFlag.store(true, ordering: .releasing)
        } catch {
            lose(error)
            throw error
        }
    }

    /// Waits until the connection is open, and not longer than until the deadline.
    nonisolated func waitUntilOpen(deadline: ContinuousClock.Instant) async throws(AMQPError) {
        let opened = Reply<Void>()
        // Unstructured, because connecting can't be interrupted: who waits for it gives up at his own deadline, and it goes on for others.
        Task {
            do throws(AMQPError) {
                try await open()
                opened.finish(.success(()))
            } catch {
                opened.finish(.failure(error))
            }
        }
        // Unstructured for the same reason, and ended below.
        let timer = Task {
            try? await Task.sleep(until: deadline, clock: .continuous)
            opened.finish(.failure(.notConnectedInTime(configuration)))
        }
        defer { timer.cancel() }
        try await opened.value(
            cancelled: AMQPError(
                .connectionClosed,
                "The task was cancelled before the connection was open. Nothing was sent."
            )
        )
    }

    /// What the broker says of itself.
    func serverProperties() throws(AMQPError) -> FieldTable {
        if let closeError { throw closeError }
        return socket?.serverProperties ?? FieldTable()
    }

    /// Closes in order: the broker gives back what is unsettled.
    ///
    /// Gives up waiting for its answer after a few seconds.
    func close() async {
        guard closeError == nil, socket != nil else {
            lose(AMQPError(.connectionClosed, "The connection was closed by this program."))
            return
        }
        let isFirst = closers.isEmpty
        let closed = Reply<Void>()
        closers.append(closed)
        if isFirst {
            closingDeadline = .now + .seconds(5)
            await cancelConsumers()
            if closeError == nil { send(.connectionClose, channel: 0) }
        }
        try? await closed.value(cancelled: AMQPError(.cancelled, "The task was cancelled that closed a connection."))
    }

    /// Asks for no more deliveries on all channels, and waits until the broker has stopped them.
    ///
    /// As with one consumer's close: a quorum queue should have all acknowledgements before the channel goes.
    private func cancelConsumers() async {
        var cancels: [Reply<Void>] = []
        for channel in channels.open {
            guard case .consuming = channel.role else { continue }
            let cancel = Reply<Void>()
            cancels.append(cancel)
            withConsumer(channel.id.number) { $0.cancel(cancel) }
        }
        for cancel in cancels {
            try? await cancel.value(
                cancelled: AMQPError(.cancelled, "The task was cancelled that closed a connection.")
            )
        }
    }

    /// Drops the connection: everything that waits learns why.
    func lose(_ error: AMQPError) {
        guard closeError == nil else { return }
        closeError = error
        closedFlag.store(true, ordering: .releasing)
        // One that failed to open threw its error; one that was closed has none.
        if isOpen && closers.isEmpty { logger.info("connection ended", metadata: ["error": "\(error)"]) }
        openFlag.store(false, ordering: .releasing)
        socket = nil
        handOver()
        for channel in channels.open {
            if case .consuming(var consumer) = channel.role { consumer.end(closers.isEmpty ? error : nil) }
            if case .closing(let reply?) = channel.role { reply.finish(.success(())) }
        }
        channels = ChannelTable()
        publisher.connectionLost(error)
        for purpose in requests.keys { requests[purpose]?.connectionLost(error) }
        for closer in closers { closer.finish(.success(())) }
    }

    // MARK: Channels

    /// Takes a free channel number and asks the broker to open it.
    func openChannel(_ role: ChannelState.Role) -> ChannelID? {
        guard let number = channels.freeNumber else { return nil }
        openings += 1
        let id = ChannelID(number: number, opening: openings)
        channels[number] = ChannelState(id: id, role: role, thread: thread)
        send(.channelOpen, channel: number)
        return id
    }

    /// Sends a method; an error drops the connection.
    func send(_ method: OutboundMethod, channel: UInt16) {
        do throws(AMQPError) {
            try socket?.send(method, channel: channel)
        } catch {
            lose(error)
        }
    }

    func perform(_ action: Publisher.Action?) {
        switch action {
        case .openChannel:
            if openChannel(.publishing) == nil { lose(.noChannelLeft(configuration)) }
        case .send(let method, let channel): send(method, channel: channel)
        case nil: break
        }
    }

    func perform(_ action: RequestChannel.Action?, for purpose: RequestPurpose) {
        switch action {
        case .openChannel:
            if openChannel(.requests(purpose)) == nil { lose(.noChannelLeft(configuration)) }
        case .send(let method, let channel): send(method, channel: channel)
        case nil: break
        }
    }
}

extension AMQPError {
    static func notConnectedInTime(_ configuration: ConnectionConfiguration) -> AMQPError {
        AMQPError(
            .deadlineExceeded,
            "The deadline passed before \(configuration.endpoint) had accepted the connection. Nothing was sent."
        )
    }

    static func noChannelLeft(_ configuration: ConnectionConfiguration) -> AMQPError {
        AMQPError(
            .refused,
            "All 2047 channels of the connection to \(configuration.endpoint) are in use: close consumers first."
        )
    }
}
