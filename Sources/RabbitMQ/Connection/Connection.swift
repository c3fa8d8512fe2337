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
    let states: ConnectionStates
    let counters: ClientCounters
    let logger: Logger
    var schedule: ReconnectSchedule
    var socket: BrokerSocket?
    var channels = ChannelTable()
    /// Behind a lock only for the watchdog, which sees to deadlines while the thread is stuck in a call.
    nonisolated let publisher = Mutex(Publisher(isConnected: false))
    var requests: [RequestPurpose: RequestChannel] = [:]
    /// Consumers that wait for a connection.
    var suspendedConsumers: [ConsumerChannel] = []
    /// When resting consumers are tried again although the connection is there: the broker refused them for a passing reason.
    var nextResumption: ContinuousClock.Instant?
    var declared = DeclaredTopology()
    /// Who waits to know the broker's properties.
    var serverPropertiesWaiters: [Reply<FieldTable>] = []
    var serverProperties: FieldTable?
    /// Reading stopped with more to read.
    var hasMoreToRead = false
    /// When the library must be called again, so that it sends its heartbeat.
    var nextHeartbeat = ContinuousClock.now
    /// Why there will be no connection any more; `nil` while it is in use.
    var closeError: AMQPError? {
        didSet { closedFlag.store(closeError != nil, ordering: .releasing) }
    }
    var closingDeadline: ContinuousClock.Instant?
    /// Who waits for the orderly end; somebody from its beginning on.
    var closeWaiters: [Reply<Void>] = []
    private nonisolated let lastReceived = Mutex<ContinuousClock.Instant?>(nil)
    private var channelOpenings: UInt64 = 0
    private nonisolated let closedFlag = Atomic(false)

    /// A connection that isn't open yet, to one of several endpoints.
    ///
    /// - Throws: `connectionFailed` if the system has no thread or no file descriptor left.
    init(
        _ configurations: [ConnectionConfiguration],
        purpose: ConnectionPurpose,
        states: ConnectionStates,
        counters: ClientCounters,
        logger: Logger
    ) throws(AMQPError) {
        precondition(!configurations.isEmpty, "A connection needs an endpoint.")
        // At random, so that the clients of a cluster spread over its nodes.
        self.configurations = configurations.shuffled()
        self.purpose = purpose
        self.states = states
        self.counters = counters
        var logger = logger
        logger[metadataKey: "connection"] = "\(configurations[0].name)"
        self.logger = logger
        schedule = ReconnectSchedule(endpointCount: configurations.count)
        let heartbeat = configurations[0].heartbeat
        thread = try ConnectionThread(callTimeout: heartbeat > .zero ? heartbeat : .seconds(30))
        let expire: ConnectionThread.Expiry = { [weak self] now in self?.publisher.withLock { $0.expire(now: now) } }
        thread.begin(expiry: expire) { [weak self] mailbox, isReadable in
            guard let self else { return ConnectionThread.SleepPlan() }
            return self.assumeIsolated { $0.runLoopIteration(mailbox, isReadable: isReadable) }
        }
    }

    isolated deinit {
        thread.setSocket(nil)
        socket = nil
        thread.stop()
    }

    /// When anything last came from the broker.
    nonisolated var receivedAt: ContinuousClock.Instant? { lastReceived.withLock(\.self) }

    func noteReceived(at now: ContinuousClock.Instant) { lastReceived.withLock { $0 = now } }

    /// The endpoint in use, or whose turn it is.
    var configuration: ConnectionConfiguration { configurations[schedule.endpoint] }

    // MARK: The loop

    /// How many frames a turn reads before it hands over and settles: the broker should get room for more while we decode.
    private static let framesPerIteration = 128
    /// How many messages a turn sends before it reads again.
    private static let publishesPerIteration = 256
    /// How many unconfirmed publishes keep the broker busy for longer than new ones wait to be joined.
    private static let coalescingThreshold = 64

    /// One turn.
    ///
    /// Says how long the thread may rest.
    func runLoopIteration(_ mailbox: consuming Mailbox, isReadable: Bool) -> ConnectionThread.SleepPlan {
        let now = ContinuousClock.now
        // First of all, so that the watchdog sees to their deadlines whatever this turn is held up by.
        enqueue(mailbox.publishes)
        let unconfirmedBefore = publisher.withLock(\.unconfirmedCount)
        if isReadable { noteReceived(at: now) }
        if isReadable || hasMoreToRead || now >= nextHeartbeat { read(now) }
        let coalescesSettlements = !mailbox.settlements.isEmpty
        settle(mailbox.settlements)
        let isAllConfirmed = unconfirmedBefore > 0 && publisher.withLock(\.unconfirmedCount) == 0
        sendPublishes(isBatch: mailbox.publishes.count > 1, now)
        for call in mailbox.calls { call(self) }
        expireRequests(now)
        if socket == nil { connectIfDue() } else { resumeConsumers() }
        let publishing = publisher.withLock(\.status)
        let nextWork = [publishing.nextDeadline, nextOtherWork].compactMap(\.self).min()
        let isBusy = hasMoreToRead || publishing.isReadyToSend
        return ConnectionThread.SleepPlan(
            socket: socket?.descriptor,
            timeout: isBusy ? .zero : nextWork.map { max(.zero, ContinuousClock.now.duration(to: $0)) },
            coalescesSettlements: coalescesSettlements && !isBusy,
            coalescesPublishes: publishing.unconfirmedCount >= Self.coalescingThreshold && !isBusy,
            expectsPublish: isAllConfirmed && publishing.unconfirmedCount == 0,
            hasPendingPublishes: publishing.hasWork
        )
    }

    /// The next time that something other than a publish is due.
    private var nextOtherWork: ContinuousClock.Instant? {
        let times = [
            socket == nil ? schedule.nextAttempt : nextHeartbeat, nextResumption, closingDeadline,
            requests.values.compactMap(\.nextDeadline).min(),
        ]
        return times.compactMap(\.self).min()
    }

    /// Reads what has arrived.
    private func read(_ now: ContinuousClock.Instant) {
        guard let heartbeat = socket?.heartbeat else { return }
        // The library sends heartbeats only when it is called: four times in each interval is often enough.
        nextHeartbeat = now + (heartbeat > .zero ? heartbeat / 4 : .seconds(3600))
        hasMoreToRead = false
        do throws(AMQPError) {
            for _ in 0..<Self.framesPerIteration {
                guard let (channel, frame) = try socket?.nextFrame() else { return deliverBatches() }
                try handle(frame, channel: channel)
                guard socket?.hasBufferedFrames == true else { return deliverBatches() }
            }
            hasMoreToRead = true
            deliverBatches()
        } catch {
            handleLoss(error)
        }
    }

    /// Gives the deliveries that were read to their readers, a batch each.
    func deliverBatches() {
        for channel in channels.open { channel.deliverBatch() }
    }

    private func enqueue(_ publishes: [PendingPublish]) {
        guard !publishes.isEmpty else { return }
        if let closeError {
            for publish in publishes {
                publish.fail(
                    closeError.code,
                    "The message to \(publish.destination) was not sent: \(closeError.message)"
                )
            }
        } else {
            perform(publisher.withLock { $0.enqueue(publishes) })
        }
    }

    /// Sends messages, as many as a turn may.
    private func sendPublishes(isBatch: Bool, _ now: ContinuousClock.Instant) {
        let isReady = publisher.withLock { publisher in
            publisher.expire(now: now)
            return publisher.isReadyToSend
        }
        guard isReady else { return }
        if isBatch { socket?.cork(true) }
        defer { if isBatch { socket?.cork(false) } }
        do throws(AMQPError) {
            for _ in 0..<Self.publishesPerIteration {
                guard let (publish, channel) = publisher.withLock({ $0.next() }) else { return }
                try socket?.publish(
                    publish.message,
                    to: publish.destination,
                    mandatory: publish.mandatory,
                    channel: channel
                )
            }
        } catch {
            handleLoss(error)
        }
    }

    private func expireRequests(_ now: ContinuousClock.Instant) {
        for purpose in requests.keys { requests[purpose]?.expire(now: now) }
        if let closingDeadline, closingDeadline <= now {
            end(AMQPError(.connectionClosed, "The broker did not answer the close of the connection."))
        }
    }

    // MARK: Frames from the broker

    /// Takes one frame.
    ///
    /// Throws if the broker speaks out of order, which ends the connection.
    private func handle(_ frame: InboundFrame, channel number: UInt16) throws(AMQPError) {
        guard number != 0 else {
            if case .method(let method) = frame { try handleConnectionMethod(method) }
            socket?.release(channel: 0)
            return
        }
        switch frame {
        case .method(.content(let start)):
            try channels[number]?.assembler.begin(start)
        case .method(let method):
            handle(method, channel: number)
            socket?.release(channel: number)
        case .header(let bodySize, let properties):
            if let content = try channels[number]?.assembler.header(bodySize: bodySize, properties) {
                complete(content, channel: number)
            }
        case .body(let piece):
            if let content = try channels[number]?.assembler.body(piece) {
                complete(content, channel: number)
            }
        }
    }

    private func handle(_ method: InboundMethod, channel number: UInt16) {
        switch method {
        case .ack(let tag, let multiple): publisher.withLock { $0.acknowledged(tag, multiple: multiple) }
        case .nack(let tag, let multiple): publisher.withLock { $0.refused(tag, multiple: multiple) }
        case .channelClose(let reply):
            send(.channelCloseOk, channel: number)
            closed(number, reply)
        case .channelCloseOk:
            if case .closing(let reply?)? = channels.remove(number)?.role { reply.finish(.success(())) }
        case .channelFlow(let active): send(.channelFlowOk(active: active), channel: number)
        case .cancel(_, let mustAnswer):
            channels[number]?.deliverBatch()
            withConsumer(number) { $0.cancelledByBroker(mustAnswer: mustAnswer) }
        default: answered(method, channel: number)
        }
    }

    /// An answer to something that this client asked on a channel.
    private func answered(_ method: InboundMethod, channel number: UInt16) {
        switch channels[number]?.role {
        case .publishing:
            if method == .channelOpenOk { perform(publisher.withLock { $0.opened(number) }) }
            if method == .confirmSelectOk { publisher.withLock { $0.selected() } }
        case .requests(let purpose):
            if method == .channelOpenOk {
                perform(requests[purpose]?.opened(number) ?? nil, for: purpose)
            } else {
                answered(.method(method), for: purpose)
            }
        case .consuming:
            withConsumer(number) { $0.answered(method) }
            if case .cancelOk = method { sendCloseIfQuiet() }
        case .flushing: flushed(number)
        case .closing, nil: break
        }
    }

    /// A message is complete: a delivery, the answer to a get, or a returned publish.
    private func complete(_ content: ContentAssembler.Content, channel number: UInt16) {
        socket?.release(channel: number)
        switch content.start {
        case .delivery(_, let tag, let isRedelivered, let destination):
            guard let channel = channels[number], case .consuming(let consumer) = channel.role else { return }
            channel.settlements.deliver(tag)
            channel.batch.append(
                Delivery(
                    message: content.message,
                    destination: destination,
                    queue: consumer.consumption.queue,
                    isRedelivered: isRedelivered,
                    tag: tag,
                    settler: channel.settler
                )
            )
        case .get(let tag, _, _):
            guard let channel = channels[number] else { return }
            guard case .requests(let purpose) = channel.role else { return flushed(number) }
            channel.settlements.deliver(tag)
            answered(.message(content.start, content.message, channel.settler), for: purpose)
        case .returned(let reply, let destination):
            publisher.withLock { $0.returned(content.message, to: destination, reply) }
        }
    }

    /// The broker closed a channel.
    private func closed(_ number: UInt16, _ reply: BrokerReply) {
        channels[number]?.deliverBatch()
        channels[number]?.settler.invalidate()
        switch channels.remove(number)?.role {
        case .publishing: perform(publisher.withLock { $0.channelClosed(reply) })
        case .requests(let purpose):
            perform(requests[purpose]?.channelClosed(reply) ?? nil, for: purpose)
            resumeConsumers()
        case .consuming(let consumer):
            channelClosed(of: consumer, reply)
            sendCloseIfQuiet()
        case .flushing(let waiter), .closing(let waiter): waiter?.finish(.success(()))
        case nil: break
        }
    }

    // MARK: Channels

    /// Takes a free channel number and asks the broker to open it.
    func openChannel(_ role: Channel.Role) -> ChannelID? {
        let isConsumer = if case .consuming = role { true } else { false }
        guard let number = channels.freeNumber(forConsumer: isConsumer) else { return nil }
        channelOpenings += 1
        let id = ChannelID(number: number, opening: channelOpenings)
        var role = role
        if case .consuming(var consumer) = role {
            consumer.opening(id)
            role = .consuming(consumer)
        }
        channels[number] = Channel(id: id, role: role, thread: thread)
        send(.channelOpen, channel: number)
        return id
    }

    /// Sends a method; an error loses the connection.
    func send(_ method: OutboundMethod, channel: UInt16) {
        do throws(AMQPError) {
            try socket?.send(method, channel: channel)
        } catch {
            handleLoss(error)
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
