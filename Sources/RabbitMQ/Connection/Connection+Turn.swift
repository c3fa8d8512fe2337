import AMQP
import Logging

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
        let unconfirmedBefore = publisher.unconfirmedCount
        if isReadable { noteHeard(at: now) }
        if isReadable || hasMoreToRead || now >= nextBeat { read(now) }
        let joinsSettlements = !mail.settlements.isEmpty
        settle(mail.settlements)
        let isAllConfirmed = unconfirmedBefore > 0 && publisher.unconfirmedCount == 0
        let hasMoreToSend = publish(mail.publishes, now)
        for call in mail.calls { call(self) }
        expireRequests(now)
        if socket == nil { connectIfDue() } else { resumeConsumers() }
        guard let descriptor = socket?.descriptor else { return ConnectionThread.Rest(timeout: restWithoutSocket) }
        if hasMoreToRead || hasMoreToSend || publisher.isReadyToSend {
            return ConnectionThread.Rest(socket: descriptor, timeout: .zero)
        }
        let nextWork = [nextDeadline, nextResumption].compactMap(\.self).reduce(nextBeat, min)
        return ConnectionThread.Rest(
            socket: descriptor,
            timeout: max(.zero, ContinuousClock.now.duration(to: nextWork)),
            joinsSettlements: joinsSettlements,
            joinsPublishes: publisher.unconfirmedCount >= Self.busyBroker,
            expectsPublish: isAllConfirmed && publisher.unconfirmedCount == 0
        )
    }

    private var restWithoutSocket: Duration? {
        [nextDeadline, schedule.nextAttempt].compactMap(\.self).min().map {
            max(.zero, ContinuousClock.now.duration(to: $0))
        }
    }

    /// The first deadline of all that waits.
    private var nextDeadline: ContinuousClock.Instant? {
        [publisher.nextDeadline, closingDeadline, requests.values.compactMap(\.nextDeadline).min()]
            .compactMap(\.self).min()
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

    /// Sends messages.
    ///
    /// Returns true if more wait that could be sent.
    private func publish(_ publishes: [PendingPublish], _ now: ContinuousClock.Instant) -> Bool {
        if let closeError {
            for publish in publishes {
                publish.fail(
                    closeError.code,
                    "The message to \(publish.destination) was not sent: \(closeError.message)"
                )
            }
            return false
        }
        if !publishes.isEmpty { perform(publisher.enqueue(publishes)) }
        publisher.expire(now: now)
        guard publisher.isReadyToSend else { return false }
        let isBatch = publishes.count > 1
        if isBatch { socket?.cork(true) }
        defer { if isBatch { socket?.cork(false) } }
        do throws(AMQPError) {
            for _ in 0..<Self.publishesPerTurn {
                guard let (publish, channel) = publisher.next() else { return false }
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
        return publisher.isReadyToSend
    }

    private func expireRequests(_ now: ContinuousClock.Instant) {
        for purpose in requests.keys { requests[purpose]?.expire(now: now) }
        if let closingDeadline, closingDeadline <= now {
            end(AMQPError(.connectionClosed, "The broker did not answer the close of the connection."))
        }
    }
}
