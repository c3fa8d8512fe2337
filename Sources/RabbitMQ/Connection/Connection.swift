import AMQP
import Logging
import Synchronization

/// One connection to a broker and its successors: one thread, this actor, whose executor is that thread, and one socket
/// at a time.
///
/// Callers reach it through the thread's mailbox, many for each wake-up, so that no caller waits for a thread that is
/// busy connecting: each waits for its own reply, with its own time limit. The thread repeats
/// ``runLoopIteration(_:isReadable:)``: read, settle, publish, connect if necessary, then sleep until something is due.
/// When the socket is lost, the thread makes a new connection, declares and consumes again, and resends what wasn't
/// confirmed; `Recovery/` contains the rules.
actor Connection {
    nonisolated let thread: ConnectionThread
    /// True once this program has closed the connection; the client then makes a new one when it needs one.
    nonisolated var isClosed: Bool { closedFlag.load(ordering: .acquiring) }

    let purpose: ConnectionPurpose
    /// One for each endpoint of the broker.
    let configurations: [ConnectionConfiguration]
    let states: ConnectionStates
    /// The connection's number among those of its client and purpose; 0 for an isolated one, whose state isn't
    /// reported.
    let number: Int
    /// Moves a consumer that may have made the broker close this connection to a separate one; `nil` if this is one.
    ///
    /// Returns false if the client doesn't take it any more.
    let isolate: (@Sendable (ConsumerChannel) -> Bool)?
    var isIsolated: Bool { isolate == nil }
    /// The exchanges and queues that the client has lost and not declared again yet.
    let transientTopology: TransientTopology?
    let counters: ClientCounters
    let logger: Logger
    var schedule: ReconnectSchedule
    var socket: BrokerSocket?
    var channels = ChannelTable()
    /// Behind a lock only for the watchdog, which enforces deadlines while the thread is stuck in a call.
    nonisolated let publisher = Mutex(Publisher(isConnected: false))
    var requests: [RequestPurpose: RequestChannel] = [:]
    /// Consumers that wait for a connection.
    var suspendedConsumers: [ConsumerChannel] = []
    /// The ended consumers' channels whose last settlements the broker may still be processing, and the times at which
    /// they can be closed.
    var closings: [ChannelID: ContinuousClock.Instant] = [:]
    var declared = DeclaredTopology()
    /// True from the beginning of a redeclaration until its end.
    var isRedeclaring = false
    /// True while everything is declared again, and not only what is transient.
    var isRedeclaringAll = false
    /// The number of the method because of which the broker closes the connection; 0 if it named none.
    var faultyMethod: UInt32 = 0
    /// Callers that wait for the broker's properties.
    var serverPropertiesWaiters: [Reply<FieldTable>] = []
    var serverProperties: FieldTable?
    var renewal: CredentialsRenewal
    /// The question to the source of the credentials that is under way.
    var asking: Task<Void, Never>?
    /// True if reading stopped with more to read.
    var hasMoreToRead = false
    /// The next time that the library must be called so that it sends its heartbeat.
    var nextHeartbeat = ContinuousClock.now
    /// The reason for the connection's end; `nil` while it is in use.
    var closeError: AMQPError? {
        didSet { closedFlag.store(closeError != nil, ordering: .releasing) }
    }
    var closingDeadline: ContinuousClock.Instant?
    var hasSentClose = false
    /// Callers that wait for the connection to close; not empty once closing has begun.
    var closeWaiters: [Reply<Void>] = []
    private nonisolated let lastReceived = Mutex<ContinuousClock.Instant?>(nil)
    private var channelOpenings: UInt64 = 0
    private nonisolated let closedFlag = Atomic(false)

    /// Creates a connection that isn't open yet, to one of several endpoints.
    ///
    /// - Throws: `connectionFailed` if the system has no thread or no file descriptor left.
    init(
        _ configurations: [ConnectionConfiguration],
        purpose: ConnectionPurpose,
        states: ConnectionStates,
        counters: ClientCounters,
        logger: Logger,
        transientTopology: TransientTopology? = nil,
        isolate: (@Sendable (ConsumerChannel) -> Bool)? = nil
    ) throws(AMQPError) {
        precondition(!configurations.isEmpty, "A connection needs an endpoint.")
        // In random order, so that the clients of a cluster spread over its nodes.
        self.configurations = configurations.shuffled()
        self.purpose = purpose
        self.states = states
        self.transientTopology = transientTopology
        self.isolate = isolate
        number = isolate == nil ? 0 : states.begin(purpose)
        self.counters = counters
        var logger = logger
        logger[metadataKey: LogKey.connection] = "\(configurations[0].name)"
        self.logger = logger
        schedule = ReconnectSchedule(endpointCount: configurations.count)
        renewal = CredentialsRenewal(limit: configurations[0].connectTimeout)
        let heartbeat = configurations[0].heartbeat
        thread = try ConnectionThread(callTimeout: heartbeat > .zero ? heartbeat : .seconds(30))
        if purpose == .publishing {
            transientTopology?.onRestored { [weak self] in
                self?.thread.post { $0.publisher.withLock { $0.release() } }
            }
        }
        let expire: ConnectionThread.Expiry = { [weak self] now in self?.publisher.withLock { $0.expire(now: now) } }
        let send: ConnectionThread.Sending = { [weak self] publishes in
            guard let self else { return ConnectionThread.SleepPlan() }
            return self.assumeIsolated { $0.sendWhileThreadSleeps(publishes) }
        }
        thread.begin(expiry: expire, sending: send) { [weak self] mailbox, isReadable in
            guard let self else { return ConnectionThread.SleepPlan() }
            return self.assumeIsolated { $0.runLoopIteration(mailbox, isReadable: isReadable) }
        }
    }

    isolated deinit {
        end(AMQPError(.closed, "The client was let go without being closed."))
        thread.stop()
    }

    /// The last time that anything came from the broker.
    nonisolated var receivedAt: ContinuousClock.Instant? { lastReceived.withLock(\.self) }

    func noteReceived(at now: ContinuousClock.Instant) { lastReceived.withLock { $0 = now } }

    /// The configuration of the endpoint that is in use or tried next.
    var configuration: ConnectionConfiguration { configurations[schedule.endpoint] }

    // MARK: The run loop

    /// The number of frames that an iteration reads before it delivers and settles, so that the broker can send more
    /// while this side decodes.
    private static let framesPerIteration = 128
    /// The number of messages that an iteration sends before it reads again.
    private static let publishesPerIteration = 256
    /// The number of bytes that may wait for the broker to accept them before no more publishes are encoded: the rest
    /// stays where its deadline can still end with a known outcome.
    private static let unsentByteLimit = 128 * 1024
    /// The number of unconfirmed publishes that keep the broker busy for longer than new ones wait to be coalesced.
    private static let coalescingThreshold = 64

    /// Does everything that can be done now, in an order that matters, and returns how long the thread may sleep.
    private func runLoopIteration(_ mailbox: consuming Mailbox, isReadable: Bool) -> ConnectionThread.SleepPlan {
        let now = ContinuousClock.now
        // First, because the watchdog enforces the deadlines of the publishes that the publisher knows, even if a later
        // step of this iteration is stuck in a call.
        enqueue(mailbox.publishes)
        if isReadable {
            noteReceived(at: now)
            socket?.noteReadable()
        }
        // Before anything is sent: confirms, closed channels and alarms decide what may be sent.
        if isReadable || hasMoreToRead || now >= nextHeartbeat { read(now) }
        let coalescesSettlements = !mailbox.settlements.isEmpty
        // Both before the calls: one of them may close the channel or connection that these need.
        settle(mailbox.settlements, now)
        sendPublishes(isBatch: mailbox.publishes.count > 1, now)
        for call in mailbox.calls { call(self) }
        expireRequests(now)
        perform(renewal.expire(at: now))
        closeSettledChannels(now)
        if closingDeadline != nil { sendCloseIfQuiet(now) }
        // Near the end, because connecting may block for seconds.
        if socket == nil { connectIfDue() } else { resumeConsumers(now) }
        flush(now)
        return sleepPlan(coalescesSettlements: coalescesSettlements)
    }

    /// Sends publishes, on the thread of a poster and while the connection's own thread sleeps: neither reads nor
    /// connects.
    private func sendWhileThreadSleeps(_ publishes: [PendingPublish]) -> ConnectionThread.SleepPlan {
        let now = ContinuousClock.now
        enqueue(publishes)
        sendPublishes(isBatch: false, now)
        flush(now)
        return sleepPlan(coalescesSettlements: false)
    }

    /// The conditions for the thread's sleep, made from what is left to do: without a timeout only if nothing has a
    /// deadline, with a timeout of zero if an iteration stopped before its work was done.
    private func sleepPlan(coalescesSettlements: Bool) -> ConnectionThread.SleepPlan {
        let publishing = publisher.withLock(\.status)
        let nextWork = earliest(publishing.nextDeadline, nextOtherWork)
        let isBusy = hasMoreToRead || publishing.isReadyToSend && canEncode
        return ConnectionThread.SleepPlan(
            socket: socket?.descriptor,
            awaitsWritability: unsentByteCount > 0,
            timeout: isBusy ? .zero : nextWork.map { max(.zero, ContinuousClock.now.duration(to: $0)) },
            coalescesSettlements: coalescesSettlements && !isBusy,
            coalescesPublishes: publishing.unconfirmedCount >= Self.coalescingThreshold && !isBusy,
            lends: socket?.mayBlock == false && unsentByteCount == 0 && closingDeadline == nil && !isBusy,
            hasPendingPublishes: publishing.hasWork
        )
    }

    /// The next time that anything other than a publish is due.
    private var nextOtherWork: ContinuousClock.Instant? {
        let nextAttempt = renewal.holdsUpLogIn ? nil : schedule.nextAttempt
        var next = earliest(socket == nil ? nextAttempt : nextHeartbeat, nextResumption)
        next = earliest(next, renewal.nextDeadline)
        next = earliest(next, nextClosingStep)
        if !closings.isEmpty { next = earliest(next, closings.values.min()) }
        for channel in requests.values { next = earliest(next, channel.nextDeadline) }
        return next
    }

    /// Reads what has arrived, up to a limit, and delivers it.
    private func read(_ now: ContinuousClock.Instant) {
        guard let interval = socket?.heartbeatCheckInterval else { return }
        nextHeartbeat = now + interval
        hasMoreToRead = false
        do throws(AMQPError) {
            for _ in 0..<Self.framesPerIteration {
                guard let (channel, frame) = try socket?.nextFrame() else { break }
                try handle(frame, channel: channel)
                // What was read before doesn't make the socket readable, so poll() can't be asked about it.
                hasMoreToRead = socket?.hasBufferedFrames == true
                guard hasMoreToRead else { break }
            }
            try socket?.keepAlive(now)
            deliverBatches()
        } catch {
            handleLoss(error)
        }
    }

    /// Passes the deliveries that were read to their readers, each in one batch.
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

    /// Sends messages, as many as an iteration may.
    private func sendPublishes(isBatch: Bool, _ now: ContinuousClock.Instant) {
        let isReady = publisher.withLock { publisher in
            publisher.expire(now: now)
            return publisher.isReadyToSend
        }
        guard isReady else { return }
        if isBatch { socket?.cork(true) }
        defer { if isBatch { socket?.cork(false) } }
        var bytes = 0
        let isMissing = transientTopology?.missing
        for _ in 0..<Self.publishesPerIteration {
            guard canEncode, let (publish, channel) = publisher.withLock({ $0.next(unless: isMissing) }) else { return }
            do throws(SendError) {
                try socket?.publish(publish, channel: channel)
            } catch {
                switch error {
                case .unencodable(let failure):
                    publisher.withLock { $0.takeBackLast() }
                    publish.fail(failure.error("the message to \(publish.destination)"))
                case .connectionLost(let error): return handleLoss(error)
                }
            }
            if socket?.mayBlock == true {
                thread.noteProgress()
                bytes += publish.message.body.count
                // Confirms and alarms must not wait behind a slow link.
                if bytes > Self.unsentByteLimit { return }
            }
        }
    }

    /// True while publishes may be encoded: the broker has accepted most of those before.
    private var canEncode: Bool { unsentByteCount < Self.unsentByteLimit }

    /// The number of encoded bytes that the broker hasn't accepted yet.
    private var unsentByteCount: Int { socket?.unsentByteCount ?? 0 }

    /// Writes what this iteration has encoded.
    private func flush(_ now: ContinuousClock.Instant) {
        do throws(AMQPError) {
            try socket?.flush(now)
        } catch {
            handleLoss(error)
        }
    }

    private func expireRequests(_ now: ContinuousClock.Instant) {
        for purpose in requests.keys { perform(requests[purpose]?.expire(now: now) ?? nil, for: purpose) }
        if let closingDeadline, closingDeadline <= now {
            end(AMQPError(.connectionClosed, "The broker did not answer the request to close the connection."))
        }
    }

    // MARK: Frames from the broker

    /// Handles one frame.
    ///
    /// Throws if the broker violates the protocol or closes the connection; either loses the connection.
    private func handle(_ frame: InboundFrame, channel number: UInt16) throws(AMQPError) {
        guard number != 0 else {
            if case .method(let method) = frame { try handleConnectionMethod(method) }
            return
        }
        switch frame {
        case .method(.content(let start)):
            try channels[number]?.assembler.begin(start)
        case .method(let method):
            handle(method, channel: number)
        case .header(let bodySize, let properties):
            if let content = try channels[number]?.assembler.header(bodySize: bodySize, properties) {
                try complete(content, channel: number)
            }
        case .body(let piece):
            if let content = try channels[number]?.assembler.body(piece) {
                try complete(content, channel: number)
            }
        }
    }

    private func handle(_ method: InboundMethod, channel number: UInt16) {
        switch method {
        case .ack(let tag, let multiple):
            guard channels[number]?.isPublishing == true else { return }
            publisher.withLock { $0.acknowledged(tag, multiple: multiple) }
        case .nack(let tag, let multiple):
            guard channels[number]?.isPublishing == true else { return }
            publisher.withLock { $0.refused(tag, multiple: multiple) }
        case .channelClose(let reply, let method):
            send(.channelCloseOk, channel: number)
            closed(number, explained(reply), method)
        case .channelCloseOk:
            guard case .closing(let waiters)? = channels[number]?.role else { return }
            _ = channels.remove(number)
            for waiter in waiters { waiter.finish(.success(())) }
        case .channelFlow(let active):
            if channels[number]?.isPublishing == true { publisher.withLock { $0.setPaused(!active) } }
            send(.channelFlowOk(active: active), channel: number)
        case .cancel(_, let mustAnswer):
            channels[number]?.deliverBatch()
            withConsumer(number) { $0.cancelledByBroker(mustAnswer: mustAnswer) }
        default: answered(method, channel: number)
        }
    }

    /// Handles the answer to a method that this client sent on a channel.
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
            // What came before the end of deliveries is read before it.
            if case .cancelOk = method { channels[number]?.deliverBatch() }
            withConsumer(number) { $0.answered(method) }
        case .closing, nil: break
        }
    }

    /// Handles a complete message: a delivery, the answer to a get, or a returned publish.
    private func complete(_ content: ContentAssembler.Content, channel number: UInt16) throws(AMQPError) {
        switch content.start {
        case .delivery(let tag, let isRedelivered, let destination):
            guard let channel = channels[number], case .consuming(let consumer) = channel.role else { return }
            if !channel.settlesItself { try channel.settlements.deliver(tag) }
            channel.stream.delivered(
                tag,
                content.message.properties.headers,
                unsettledFrom: channel.settlements.earliestTag
            )
            channel.batch.append(
                Delivery(
                    message: content.message,
                    destination: destination,
                    queue: consumer.consumption.queue,
                    isRedelivered: isRedelivered,
                    tag: tag,
                    settler: channel.deliverySettler
                )
            )
        case .get(let tag, _, _):
            guard let channel = channels[number], case .requests(let purpose) = channel.role,
                let settler = channel.settler
            else { return }
            try channel.settlements.deliver(tag)
            answered(.message(content.start, content.message, settler), for: purpose)
        case .returned(let reply, let destination):
            guard channels[number]?.isPublishing == true else { return }
            publisher.withLock { $0.returned(content.message, to: destination, reply) }
        }
    }

    /// Handles the close of a channel by the broker.
    private func closed(_ number: UInt16, _ reply: BrokerReply, _ method: UInt32) {
        guard let channel = channels[number] else { return }
        channel.deliverBatch()
        channel.settler?.invalidate()
        // If this side has sent a close too, the broker still answers that: until then the number isn't free.
        if case .closing(let waiters) = channel.role {
            channel.role = .closing([])
            for waiter in waiters { waiter.finish(.success(())) }
            return
        }
        channels[number] = nil
        closings[channel.id] = nil
        for waiter in channel.closeWaiters { waiter.finish(.success(())) }
        switch channel.role {
        case .publishing:
            let byPublish = method == InboundMethod.publishNumber
            perform(publisher.withLock { $0.channelClosed(reply, byPublish: byPublish, now: .now) })
        case .requests(let purpose):
            perform(requests[purpose]?.channelClosed(reply) ?? nil, for: purpose)
            requestEnded()
        case .consuming(let consumer): channelClosed(of: consumer, reply)
        case .closing: break
        }
    }

    // MARK: Channels

    /// Takes a free channel number and asks the broker to open the channel; returns `nil` if none is free.
    func openChannel(_ role: OpenChannel.Role) -> ChannelID? {
        let isConsumer = if case .consuming = role { true } else { false }
        guard let number = channels.freeNumber(forConsumer: isConsumer) else { return nil }
        channelOpenings += 1
        let id = ChannelID(number: number, opening: channelOpenings)
        var role = role
        if case .consuming(var consumer) = role {
            consumer.opening(id)
            role = .consuming(consumer)
        }
        channels[number] = OpenChannel(id: id, role: role, thread: thread)
        send(.channelOpen, channel: number)
        return id
    }

    /// Sends a method.
    ///
    /// Returns the error if AMQP can't express the method, which then was not sent. Any other error loses the
    /// connection.
    @discardableResult
    func send(_ method: OutboundMethod, channel: UInt16) -> AMQPError? {
        do throws(SendError) {
            try socket?.send(method, channel: channel)
        } catch {
            switch error {
            case .unencodable(let failure): return failure.error("the request to \(method.summary)")
            case .connectionLost(let error): handleLoss(error)
            }
        }
        return nil
    }

    func perform(_ action: Publisher.Action?) {
        switch action {
        case .openChannel:
            if openChannel(.publishing) == nil { publisher.withLock { $0.failToOpen(noChannelLeft) } }
        case .send(let method, let channel): send(method, channel: channel)
        case nil: break
        }
    }

    func perform(_ action: RequestChannel.Action?, for purpose: RequestPurpose) {
        switch action {
        case .openChannel:
            if openChannel(.requests(purpose)) == nil { requests[purpose]?.failToOpen(noChannelLeft) }
        case .send(let method, let channel):
            guard let error = send(method, channel: channel) else { return }
            perform(requests[purpose]?.failedToEncode(error) ?? nil, for: purpose)
        case .replaceChannel(let number):
            channels[number]?.settler?.invalidate()
            channels[number]?.role = .closing([])
            send(.channelClose, channel: number)
            guard socket != nil else { return }
            perform(requests[purpose]?.replacing() ?? nil, for: purpose)
        case nil: break
        }
    }
}

/// The earlier of two times of which each may be missing.
private func earliest(_ one: ContinuousClock.Instant?, _ other: ContinuousClock.Instant?) -> ContinuousClock.Instant? {
    guard let one, let other else { return one ?? other }
    return min(one, other)
}
