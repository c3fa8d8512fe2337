import AMQP
import Logging
import Synchronization

/// The turns of the connection's thread: connect if need be, read what has arrived, settle, publish, and what else was asked.
extension Connection {
    /// How many frames a turn reads before it hands over and settles: the broker should get room for more while we decode.
    private static let framesPerTurn = 128
    /// How many messages a turn sends before it reads again.
    private static let publishesPerTurn = 256
    /// How many unconfirmed publishes keep the broker busy for longer than new ones wait to be joined.
    private static let busyBroker = 64

    /// One turn.
    ///
    /// Says how long the thread may rest.
    func turn(_ mail: consuming Mail, isReadable: Bool) -> ConnectionThread.Rest {
        let now = ContinuousClock.now
        // First of all, so that the watchdog sees to their deadlines whatever this turn is held up by.
        take(mail.publishes)
        let unconfirmedBefore = publisher.withLock(\.unconfirmedCount)
        if isReadable { noteHeard(at: now) }
        if isReadable || hasMoreToRead || now >= nextBeat { read(now) }
        let joinsSettlements = !mail.settlements.isEmpty
        settle(mail.settlements)
        let isAllConfirmed = unconfirmedBefore > 0 && publisher.withLock(\.unconfirmedCount) == 0
        sendPublishes(isBatch: mail.publishes.count > 1, now)
        for call in mail.calls { call(self) }
        expireRequests(now)
        if socket == nil { connectIfDue() } else { resumeConsumers() }
        let publishing = publisher.withLock(\.status)
        let nextWork = [publishing.nextDeadline, nextOtherWork].compactMap(\.self).min()
        let isBusy = hasMoreToRead || publishing.isReadyToSend
        return ConnectionThread.Rest(
            socket: socket?.descriptor,
            timeout: isBusy ? .zero : nextWork.map { max(.zero, ContinuousClock.now.duration(to: $0)) },
            joinsSettlements: joinsSettlements && !isBusy,
            joinsPublishes: publishing.unconfirmedCount >= Self.busyBroker && !isBusy,
            expectsPublish: isAllConfirmed && publishing.unconfirmedCount == 0,
            isAwaited: publishing.hasWork
        )
    }

    /// The next time that something other than a publish is due.
    private var nextOtherWork: ContinuousClock.Instant? {
        let times = [
            socket == nil ? schedule.nextAttempt : nextBeat, nextResumption, closingDeadline,
            requests.values.compactMap(\.nextDeadline).min(),
        ]
        return times.compactMap(\.self).min()
    }

    /// Reads what has arrived.
    private func read(_ now: ContinuousClock.Instant) {
        guard let heartbeat = socket?.heartbeat else { return }
        // The library sends heartbeats only when it is called: four times in each interval is often enough.
        nextBeat = now + (heartbeat > .zero ? heartbeat / 4 : .seconds(3600))
        hasMoreToRead = false
        do throws(AMQPError) {
            for _ in 0..<Self.framesPerTurn {
                guard let (channel, frame) = try socket?.nextFrame() else { return handOver() }
                try handle(frame, channel: channel)
                guard socket?.hasBufferedFrames == true else { return handOver() }
            }
            hasMoreToRead = true
            handOver()
        } catch {
            lose(error)
        }
    }

    /// Gives the deliveries that were read to their readers, a batch each.
    func handOver() {
        for channel in channels.open { channel.handOver() }
    }

    /// Passes settlements on to their channels and sends what they come to.
    private func settle(_ requests: [SettlementRequest]) {
        guard !requests.isEmpty else { return }
        var late = 0
        for request in requests where channels[request.channel.number]?.take(request) != true { late += 1 }
        if late > 0 {
            counters.count(lateSettlements: late)
            logger.debug("settlements came after their channel had gone", metadata: ["count": "\(late)"])
        }
        for channel in channels.open { settle(channel) }
    }

    /// Sends the settlements that a channel has taken.
    func settle(_ channel: ChannelState) {
        guard channel.settlements.hasWork else { return }
        var methods: [OutboundMethod] = []
        channel.settlements.flush { methods.append($0) }
        if case .consuming(let consumer) = channel.role, consumer.isCancelled {
            channel.framesSinceCancel += methods.count
        }
        if methods.count > 1 { socket?.cork(true) }
        for method in methods { send(method, channel: channel.id.number) }
        if methods.count > 1 { socket?.cork(false) }
    }

    private func take(_ publishes: [PendingPublish]) {
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
            for _ in 0..<Self.publishesPerTurn {
                guard let (publish, channel) = publisher.withLock({ $0.next() }) else { return }
                try socket?.publish(
                    publish.message,
                    to: publish.destination,
                    mandatory: publish.mandatory,
                    channel: channel
                )
            }
        } catch {
            lose(error)
        }
    }

    private func expireRequests(_ now: ContinuousClock.Instant) {
        for purpose in requests.keys { requests[purpose]?.expire(now: now) }
        if let closingDeadline, closingDeadline <= now {
            end(AMQPError(.connectionClosed, "The broker did not answer the close of the connection."))
        }
    }
}
