import AMQP
import DequeModule

/// The publishing side of a connection: one channel in confirm mode, the publishes that wait to be sent, and those that
/// wait for their confirms.
///
/// A state machine: events in, actions out, no I/O. The channel opens with the first publish. When the broker closes it
/// because of one message (for example, the exchange doesn't exist), that message's publish fails; the others are sent
/// again on a new channel, since it is unknown which of them the broker accepted. The same applies when the connection
/// is lost and made again. So messages are delivered at least once, within their deadlines, and one bad publish doesn't
/// affect another.
///
/// If the broker's words don't name the message at fault, the suspects are sent again one at a time: the next time, it
/// can only be the one under way. A fault that is known is remembered for a moment, so that a program that repeats it
/// doesn't make everybody's messages be sent again and again.
struct Publisher {
    /// An action for the connection to perform.
    enum Action: Equatable {
        /// Open a channel; ``opened(_:)`` reports its number.
        case openChannel
        /// Send a method on the channel.
        case send(OutboundMethod, channel: UInt16)
    }

    /// The number of times that a publish is sent if the broker closes the connection for an error each time that it is
    /// the only one under way.
    private static let sendsDespiteFaults = 2
    /// The time for which a publish's fault is remembered.
    private static let faultMemory = Duration.seconds(1)
    /// The number of faults that are remembered.
    private static let faultLimit = 64
    /// The number of waiting publishes up to which each deadline is kept to the moment; beyond it, up to a microsecond
    /// for each publish later.
    private static let promptScan = 1000

    /// A publish and its history.
    private struct Waiting {
        var publish: PendingPublish
        /// The number of times that the broker closed the connection for an error while only this was under way.
        var faults = 0
        /// True if it was under way when the broker closed a channel or connection because of an unknown publish.
        var isSuspect = false
        /// True if it was sent before, on a channel that is gone.
        var isRepeated = false
    }

    private enum Phase {
        /// Without a connection at present.
        case disconnected
        case closed
        case opening
        case selecting(channel: UInt16)
        case ready(channel: UInt16)
    }

    private var phase: Phase
    private var outgoing: Deque<Waiting> = []
    private var unconfirmed = ConfirmTracker<Waiting>()
    /// The error with which the connection was lost or couldn't be made, for publishes whose deadlines pass before a
    /// new one is open.
    private var connectionError: AMQPError?
    /// The faults that publishes had within the last second, and when each is forgotten.
    private var knownFaults: [(fault: PublishFault, until: ContinuousClock.Instant)] = []
    private var exchanges = ConfirmedExchanges()
    /// Publishes that wait until what they need has been declared again.
    private var withheld: [Waiting] = []
    /// True while a suspect is under way, with which nothing else is sent.
    private var isSuspectUnderWay = false
    /// True if the channel has messages under way that nobody waits for any more.
    private var hasDiscarded = false
    /// True while the broker asks for a pause (`channel.flow`).
    private var isPaused = false
    /// At or before the earliest deadline of all publishes that wait; `nil` if none does.
    private(set) var nextDeadline: ContinuousClock.Instant?
    /// The reason why the broker accepts no publishes at present; `nil` if it does.
    var blockedReason: String?

    init(isConnected: Bool = true) {
        phase = isConnected ? .closed : .disconnected
    }

    /// The facts from which the run loop plans the thread's sleep.
    struct Status {
        var unconfirmedCount: Int
        var isReadyToSend: Bool
        var hasWork: Bool
        var nextDeadline: ContinuousClock.Instant?
    }

    var status: Status {
        Status(
            unconfirmedCount: unconfirmedCount,
            isReadyToSend: isReadyToSend,
            hasWork: hasWaiting || unconfirmedCount > 0 || !withheld.isEmpty,
            nextDeadline: nextDeadline
        )
    }

    /// True if publishes wait to be sent.
    var hasWaiting: Bool { !outgoing.isEmpty }

    /// The number of messages that were sent and not yet confirmed.
    var unconfirmedCount: Int { unconfirmed.count }

    /// True if messages wait that can be sent now.
    var isReadyToSend: Bool { readyChannel != nil && !outgoing.isEmpty }

    private var readyChannel: UInt16? {
        guard case .ready(let channel) = phase, blockedReason == nil, !isPaused else { return nil }
        // A suspect is alone under way.
        if outgoing.first?.isSuspect == true && unconfirmedCount > 0 || isSuspectUnderWay { return nil }
        return channel
    }

    /// Adds new publishes.
    mutating func enqueue(_ publishes: [PendingPublish]) -> Action? {
        for publish in publishes {
            nextDeadline = min(nextDeadline ?? publish.deadline, publish.deadline)
            outgoing.append(Waiting(publish: publish))
        }
        return openIfNeeded()
    }

    /// Handles the opening of the channel.
    mutating func opened(_ channel: UInt16) -> Action {
        phase = .selecting(channel: channel)
        isPaused = false
        return .send(.confirmSelect, channel: channel)
    }

    /// Handles the channel's change to confirm mode.
    mutating func selected() {
        guard case .selecting(let channel) = phase else { return }
        phase = .ready(channel: channel)
    }

    /// Returns the next message to send and its channel; `nil` if there is none to send now.
    ///
    /// The message waits for its confirm from now on.
    ///
    /// - Parameter isMissing: Tells destinations that are being declared again, for which messages wait; `nil` if there
    ///   are none.
    mutating func next(
        unless isMissing: (@Sendable (Destination) -> Bool)? = nil
    ) -> (publish: PendingPublish, channel: UInt16)? {
        guard let channel = readyChannel else { return nil }
        while let waiting = outgoing.popFirst() {
            if waiting.publish.isDone { continue }
            if let isMissing, isMissing(waiting.publish.destination) {
                withheld.append(waiting)
                continue
            }
            if !knownFaults.isEmpty, let fault = knownFault(of: waiting.publish) {
                refuse(waiting, fault.reply)
                continue
            }
            waiting.publish.markSent()
            isSuspectUnderWay = waiting.isSuspect
            unconfirmed.append(waiting)
            return (waiting.publish, channel)
        }
        return nil
    }

    /// Sends the messages that were withheld because their destination was being declared again.
    mutating func release() {
        outgoing.prepend(contentsOf: withheld)
        withheld = []
    }

    /// Handles the broker's request to pause or to go on (`channel.flow`).
    mutating func setPaused(_ isPaused: Bool) { self.isPaused = isPaused }

    /// Removes the message that ``next()`` returned last, because it could not be encoded.
    mutating func takeBackLast() {
        unconfirmed.removeLast()
        isSuspectUnderWay = false
    }

    /// Handles a confirm.
    mutating func acknowledged(_ tag: UInt64, multiple: Bool) {
        unconfirmed.confirm(tag, multiple: multiple) { waiting in
            exchanges.note(waiting.publish.destination.exchange)
            waiting.publish.succeed()
        }
        if unconfirmedCount == 0 { isSuspectUnderWay = false }
    }

    /// Handles a refusal (`basic.nack`).
    mutating func refused(_ tag: UInt64, multiple: Bool) {
        unconfirmed.confirm(tag, multiple: multiple) { waiting in
            waiting.publish.fail(.nacked(to: waiting.publish.destination))
        }
        if unconfirmedCount == 0 { isSuspectUnderWay = false }
    }

    /// Handles the return of a message that reached no queue.
    ///
    /// Its confirm follows, and finds that the publish has already failed.
    mutating func returned(_ message: Message, to destination: Destination, _ reply: BrokerReply) {
        unconfirmed.visit { waiting in
            let publish = waiting.publish
            guard publish.mandatory, publish.destination == destination, !publish.isDone,
                publish.message.properties.messageID == message.properties.messageID
            else { return true }
            publish.fail(.unroutable(to: destination, reply: reply))
            return false
        }
    }

    /// Fails publishes that are past their deadlines.
    mutating func expire(now: ContinuousClock.Instant) {
        guard let nextDeadline, nextDeadline <= now else { return }
        var next: ContinuousClock.Instant?
        let waitingCount = outgoing.count + unconfirmedCount
        let scanned = waitingCount > Self.promptScan ? waitingCount : 0
        func check(_ publish: PendingPublish, ifLate fail: (PendingPublish) -> Void) {
            if publish.isDone { return }
            if publish.deadline <= now { return fail(publish) }
            next = min(next ?? publish.deadline, publish.deadline)
        }
        unconfirmed.visit { waiting in
            check(waiting.publish) { $0.failUnconfirmed() }
            return true
        }
        for waiting in outgoing { check(waiting.publish) { fail(unsent: $0) } }
        for waiting in withheld { check(waiting.publish) { fail(unsent: $0) } }
        // Each scan looks at everything, so that many spread deadlines are looked at together, a little late.
        self.nextDeadline = next.map { max($0, now + min(.microseconds(scanned), .milliseconds(100))) }
        // Otherwise expired publishes would accumulate during a long outage of the broker.
        unconfirmed.discard { waiting in
            if waiting.publish.isDone { hasDiscarded = true }
            return waiting.publish.isDone
        }
        if unconfirmedCount == 0 { isSuspectUnderWay = false }
        outgoing.removeAll { $0.publish.isDone }
        withheld.removeAll { $0.publish.isDone }
    }

    private func fail(unsent publish: PendingPublish) {
        if publish.wasSent {
            publish.failUnconfirmed()
        } else if let blockedReason {
            publish.fail(.publishBlocked(reason: blockedReason))
        } else if isPaused {
            publish.fail(.publishBlocked(reason: "it asked for a pause, with channel.flow"))
        } else {
            publish.failUnsent(
                connectionError.map { ", because the connection was lost and has not been recovered: \($0.message)" }
                    ?? ""
            )
        }
    }

    /// Handles the close of the channel by the broker.
    ///
    /// - Parameters:
    ///   - reply: The broker's reason.
    ///   - byPublish: Whether the broker says that a publish was the cause.
    ///   - now: The present time.
    mutating func channelClosed(_ reply: BrokerReply, byPublish: Bool, now: ContinuousClock.Instant) -> Action? {
        phase = .closed
        let (sent, culprit) = takeSent()
        if let fault = sent.lazy.compactMap({ PublishFault(of: $0.publish, in: reply) }).first {
            let culprits = sent.filter { fault.concerns($0.publish) }
            for (index, waiting) in culprits.enumerated() {
                refuse(waiting, reply, isLast: index == culprits.count - 1)
            }
            remember(fault, until: now + Self.faultMemory)
            sendAgain(sent, areSuspects: false)
        } else if byPublish {
            if let culprit { refuse(culprit, reply) }
            sendAgain(sent, areSuspects: true)
        } else {
            for waiting in sent { waiting.publish.failUncertain(because: reply) }
        }
        return openIfNeeded()
    }

    /// Removes what is under way on a channel that is gone, and returns it; `culprit` is the only message, if there was
    /// only one.
    private mutating func takeSent() -> (sent: [Waiting], culprit: Waiting?) {
        let sent = unconfirmed.takeAll()
        defer { (isSuspectUnderWay, hasDiscarded) = (false, false) }
        return (sent, sent.count == 1 && !hasDiscarded ? sent[0] : nil)
    }

    /// Fails a publish that the broker refused, or will refuse for the same reason as another.
    ///
    /// - Parameters:
    ///   - waiting: The publish.
    ///   - reply: The broker's words.
    ///   - isLast: Whether the broker refused this one and not one that was sent after it.
    private func refuse(_ waiting: Waiting, _ reply: BrokerReply, isLast: Bool = true) {
        let publish = waiting.publish
        // If the exchange existed a moment ago, the broker may have kept what was sent to it before.
        let isUncertain = waiting.isRepeated || !isLast
        if reply.code == 404, isUncertain, exchanges.mayContain(publish.destination.exchange) {
            publish.failUncertain(because: reply)
        } else {
            publish.fail(.refusedPublish(of: publish.message, to: publish.destination, reply))
        }
    }

    private mutating func sendAgain(_ publishes: [Waiting], areSuspects: Bool) {
        outgoing.prepend(
            contentsOf: publishes.lazy.filter { !$0.publish.isDone }.map { waiting in
                var waiting = waiting
                waiting.isSuspect = waiting.isSuspect || areSuspects
                waiting.isRepeated = true
                return waiting
            }
        )
    }

    // MARK: Remembered faults

    private mutating func remember(_ fault: PublishFault, until: ContinuousClock.Instant) {
        knownFaults.removeAll { $0.fault == fault }
        if knownFaults.count >= Self.faultLimit { knownFaults.removeFirst() }
        knownFaults.append((fault, until))
    }

    private mutating func knownFault(of publish: PendingPublish) -> PublishFault? {
        let now = ContinuousClock.now
        knownFaults.removeAll { $0.until <= now }
        return knownFaults.first { $0.fault.concerns(publish) }?.fault
    }

    /// Handles the declaration of an exchange by this client: it isn't missing any more.
    mutating func exchangeDeclared(_ name: String) {
        knownFaults.removeAll { known in
            if case .missingExchange(name, _) = known.fault { true } else { false }
        }
    }

    /// Handles a new connection.
    mutating func connected() -> Action? {
        guard case .disconnected = phase else { return nil }
        phase = .closed
        connectionError = nil
        return openIfNeeded()
    }

    /// Handles the loss of the connection; a new one is being made, and unconfirmed publishes will be sent again first.
    ///
    /// Returns the number of publishes to be sent again.
    ///
    /// - Parameters:
    ///   - error: The error with which it was lost.
    ///   - method: The number of the method because of which the broker closed it, if it named one.
    mutating func connectionLost(_ error: AMQPError, by method: UInt32 = 0) -> Int {
        phase = .disconnected
        connectionError = error
        blockedReason = nil
        let isFault = error.reply?.isFault == true && (method == 0 || method == InboundMethod.publishNumber)
        var (sent, culprit) = takeSent()
        if isFault, var culprit {
            culprit.faults = method == 0 ? culprit.faults + 1 : Self.sendsDespiteFaults
            sent = [culprit]
            if culprit.faults >= Self.sendsDespiteFaults { culprit.publish.failLost(error) }
        }
        sent.removeAll { $0.publish.isDone }
        sendAgain(sent, areSuspects: isFault)
        return sent.count
    }

    /// Records that another attempt to connect failed.
    mutating func noteConnectionError(_ error: AMQPError) { connectionError = error }

    /// Fails everything, since there will be no connection: a publish that was sent has an unknown outcome, any other a
    /// known one.
    mutating func end(_ error: AMQPError) {
        for waiting in unconfirmed.takeAll() { waiting.publish.failLost(error) }
        for waiting in outgoing + withheld {
            if waiting.publish.wasSent {
                waiting.publish.failLost(error)
            } else {
                waiting.publish.fail(
                    error.code == .connectionLost ? .connectionClosed : error.code,
                    "The message to \(waiting.publish.destination) was not sent: \(error.message)",
                    reply: error.reply
                )
            }
        }
        self = Publisher(isConnected: false)
    }

    /// Handles the broker's refusal to open a channel: what wasn't sent fails.
    mutating func failToOpen(_ error: AMQPError) {
        guard case .opening = phase else { return }
        phase = .closed
        for waiting in outgoing { waiting.publish.failUnopened(error) }
        outgoing = []
    }

    private mutating func openIfNeeded() -> Action? {
        guard case .closed = phase, !outgoing.isEmpty else { return nil }
        phase = .opening
        return .openChannel
    }

}

/// The exchanges of which the broker has confirmed a message, so that they exist, or did.
private struct ConfirmedExchanges {
    /// The number of exchanges that are remembered; beyond it, all count as confirmed.
    private static let limit = 1000

    private var names: Set<String> = []
    /// The exchange that was noted last, since most publishes go to the same.
    private var last: String?

    mutating func note(_ exchange: String) {
        guard exchange != last else { return }
        last = exchange
        if names.count <= Self.limit { names.insert(exchange) }
    }

    func mayContain(_ exchange: String) -> Bool { names.count > Self.limit || names.contains(exchange) }
}
