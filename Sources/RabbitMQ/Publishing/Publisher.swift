import AMQP
import DequeModule

/// The publishing side of a connection: one channel in confirm mode, what waits to be sent, and what waits for its confirm.
///
/// A state machine: events in, actions out, no I/O. The channel opens with the first publish. When the broker closes it because of one
/// message (an exchange that doesn't exist, say), that message's publish fails; the others are sent again on a new channel, since
/// nobody knows which of them the broker took. The same holds when the connection is lost and made anew. So they are delivered at
/// least once, within their deadlines, and one bad publish harms no other.
struct Publisher {
    /// What the connection should do.
    enum Action: Equatable {
        /// Open a channel; its number comes back in ``opened(_:)``.
        case openChannel
        /// Send a method on the channel.
        case send(OutboundMethod, channel: UInt16)
    }

    /// How often a publish is sent while the broker answers by closing the connection for a fault: it may be this publish's.
    private static let sendsDespiteFaults = 3

    /// A publish that waits to be sent, perhaps again.
    private struct Waiting {
        var publish: PendingPublish
        var sends = 0
    }

    private enum Phase {
        /// There is no connection now.
        case disconnected
        case closed
        case opening
        case selecting(channel: UInt16)
        case ready(channel: UInt16)
    }

    private var phase: Phase
    private var outgoing: Deque<Waiting> = []
    private var unconfirmed = ConfirmTracker<Waiting>()
    /// Why there is no connection, for those whose deadlines pass meanwhile.
    private var connectionError: AMQPError?
    /// Not later than the first deadline of all that wait; `nil` if none does.
    private(set) var nextDeadline: ContinuousClock.Instant?
    /// Why the broker takes no publishes now, if it doesn't.
    var blockedReason: String?

    init(isConnected: Bool = true) {
        phase = isConnected ? .closed : .disconnected
    }

    /// What the connection's thread must know before it rests.
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
            hasWork: hasWaiting || unconfirmedCount > 0,
            nextDeadline: nextDeadline
        )
    }

    /// True if publishes wait to be sent.
    var hasWaiting: Bool { !outgoing.isEmpty }

    /// How many messages the broker has and hasn't confirmed.
    var unconfirmedCount: Int { unconfirmed.count }

    /// True if messages wait that could be sent now.
    var isReadyToSend: Bool { readyChannel != nil && !outgoing.isEmpty }

    private var readyChannel: UInt16? {
        guard case .ready(let channel) = phase, blockedReason == nil else { return nil }
        return channel
    }

    /// Takes new publishes.
    mutating func enqueue(_ publishes: [PendingPublish]) -> Action? {
        for publish in publishes {
            nextDeadline = min(nextDeadline ?? publish.deadline, publish.deadline)
            outgoing.append(Waiting(publish: publish))
        }
        return openIfNeeded()
    }

    /// The channel is open.
    mutating func opened(_ channel: UInt16) -> Action {
        phase = .selecting(channel: channel)
        return .send(.confirmSelect, channel: channel)
    }

    /// The channel is in confirm mode.
    mutating func selected() {
        guard case .selecting(let channel) = phase else { return }
        phase = .ready(channel: channel)
    }

    /// The next message to send and its channel; it waits for its confirm from now on.
    ///
    /// `nil` if there is none to send now.
    mutating func next() -> (publish: PendingPublish, channel: UInt16)? {
        guard let channel = readyChannel else { return nil }
        while var waiting = outgoing.popFirst() {
            if waiting.publish.reply.isDone { continue }
            waiting.publish.reply.markSent()
            waiting.sends += 1
            unconfirmed.append(waiting)
            return (waiting.publish, channel)
        }
        return nil
    }

    /// The broker confirmed.
    mutating func acknowledged(_ tag: UInt64, multiple: Bool) {
        unconfirmed.confirm(tag, multiple: multiple) { $0.publish.reply.finish(.success(())) }
    }

    /// The broker refused.
    mutating func refused(_ tag: UInt64, multiple: Bool) {
        unconfirmed.confirm(tag, multiple: multiple) { waiting in
            waiting.publish.fail(.nacked(to: waiting.publish.destination))
        }
    }

    /// The broker returned a message that no queue takes.
    ///
    /// Its confirm follows, and finds the publish failed.
    mutating func returned(_ message: Message, to destination: Destination, _ reply: BrokerReply) {
        unconfirmed.visit { waiting in
            let publish = waiting.publish
            guard publish.mandatory, publish.destination == destination, !publish.reply.isDone,
                publish.message.properties.messageID == message.properties.messageID
            else { return true }
            publish.fail(.unroutable(to: destination, reply: reply))
            return false
        }
    }

    /// Fails what has waited past its deadline.
    mutating func expire(now: ContinuousClock.Instant) {
        guard let nextDeadline, nextDeadline <= now else { return }
        var next: ContinuousClock.Instant?
        func check(_ publish: PendingPublish, ifLate fail: (PendingPublish) -> Void) {
            if publish.reply.isDone { return }
            if publish.deadline <= now { return fail(publish) }
            next = min(next ?? publish.deadline, publish.deadline)
        }
        unconfirmed.visit { waiting in
            check(waiting.publish) { $0.failUnconfirmed() }
            return true
        }
        for waiting in outgoing {
            check(waiting.publish) { fail(unsent: $0) }
        }
        self.nextDeadline = next
        // A broker that is away for long must not make the late ones pile up here.
        unconfirmed.discard { $0.publish.reply.isDone }
        outgoing.removeAll { $0.publish.reply.isDone }
    }

    private func fail(unsent publish: PendingPublish) {
        if publish.reply.wasSent {
            publish.failUnconfirmed()
        } else if let blockedReason {
            publish.fail(.publishBlocked(reason: blockedReason))
        } else {
            publish.failUnsent(
                connectionError.map { ", because the connection was lost and is not back: \($0.message)" } ?? ""
            )
        }
    }

    /// The broker closed the channel.
    mutating func channelClosed(_ reply: BrokerReply) -> Action? {
        phase = .closed
        let sent = unconfirmed.takeAll().filter { !$0.publish.reply.isDone }
        let rejectedPublishes = sent.filter { Self.isRejected($0.publish, by: reply) }
        guard !rejectedPublishes.isEmpty else {
            for waiting in sent {
                let destination = waiting.publish.destination
                waiting.publish.fail(
                    .channelLost,
                    "The broker closed the publishing channel (\(reply.text)) before it confirmed the message to \(destination).",
                    reply: reply
                )
            }
            return openIfNeeded()
        }
        for publish in rejectedPublishes.map(\.publish) {
            publish.reply.finish(.failure(.refusedPublish(of: publish.message, to: publish.destination, reply)))
        }
        outgoing.prepend(contentsOf: sent.filter { !$0.publish.reply.isDone })
        return openIfNeeded()
    }

    /// There is a connection.
    mutating func connected() -> Action? {
        guard case .disconnected = phase else { return nil }
        phase = .closed
        connectionError = nil
        return openIfNeeded()
    }

    /// The connection is gone, and a new one is being made: what was sent and not confirmed will be sent again, first.
    ///
    /// Returns how many those are.
    mutating func connectionLost(_ error: AMQPError) -> Int {
        phase = .disconnected
        connectionError = error
        blockedReason = nil
        let isFault = error.reply?.isFault == true
        var again: [Waiting] = []
        for waiting in unconfirmed.takeAll() where !waiting.publish.reply.isDone {
            if isFault && waiting.sends >= Self.sendsDespiteFaults {
                waiting.publish.failLost(error)
            } else {
                again.append(waiting)
            }
        }
        outgoing.prepend(contentsOf: again)
        return again.count
    }

    /// Another attempt to connect failed.
    mutating func noteConnectionError(_ error: AMQPError) { connectionError = error }

    /// There will be no connection: what was sent has an unknown outcome, what was not sent a known one.
    mutating func end(_ error: AMQPError) {
        for waiting in unconfirmed.takeAll() { waiting.publish.failLost(error) }
        for waiting in outgoing {
            if waiting.publish.reply.wasSent {
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

    private mutating func openIfNeeded() -> Action? {
        guard case .closed = phase, !outgoing.isEmpty else { return nil }
        phase = .opening
        return .openChannel
    }

    /// True if the broker's words are about this publish.
    private static func isRejected(_ publish: PendingPublish, by reply: BrokerReply) -> Bool {
        reply.text.contains("exchange '\(publish.destination.exchange)' in vhost")
            || reply.text.contains("message size \(publish.message.body.count) ")
    }
}

extension BrokerReply {
    /// True if the broker closed the connection for a fault, perhaps one of ours, and not because its operator wanted it closed (320).
    fileprivate var isFault: Bool { code >= 400 }
}

/// A publish on its way to its confirm, and the reply that its caller waits for.
final class PendingPublish: Sendable {
    let message: Message
    let destination: Destination
    let mandatory: Bool
    let deadline: ContinuousClock.Instant
    let reply = Reply<Void>()

    init(_ message: Message, to destination: Destination, mandatory: Bool, deadline: ContinuousClock.Instant) {
        self.message = message
        self.destination = destination
        self.mandatory = mandatory
        self.deadline = deadline
    }

    /// Waits for the outcome.
    func outcome() async throws(AMQPError) {
        try await reply.value(
            cancelled: .publishCancelled(to: self.destination)
        )
    }

    /// Tells the caller that the deadline passed before the message was sent.
    func failUnsent(_ cause: String = "") { fail(.publishDeadlinePassed(to: destination, cause)) }

    /// Tells the caller that the publish failed.
    func fail(_ code: AMQPError.Code, _ message: String, reply brokerReply: BrokerReply? = nil) {
        fail(AMQPError(code, message, reply: brokerReply))
    }

    func fail(_ error: AMQPError) { reply.finish(.failure(error)) }

    fileprivate func failUnconfirmed() {
        fail(
            .confirmTimedOut,
            """
            The broker did not confirm the message to \(destination) by the deadline. It may have taken it: publishing again can make \
            a duplicate.
            """
        )
    }

    fileprivate func failLost(_ error: AMQPError) {
        fail(
            .connectionLost,
            "The connection was lost before the broker confirmed the message to \(destination): \(error.message)",
            reply: error.reply
        )
    }
}

/// Which publishes on a channel in confirm mode still wait for the broker's answer.
///
/// Confirms name messages by number: the first on a channel is 1. One answer may cover all up to its number.
/// (<https://www.rabbitmq.com/docs/confirms#publisher-confirms>)
struct ConfirmTracker<Publish> {
    private var waiting: Deque<Publish?> = []
    private var firstTag: UInt64 = 1

    init() {}

    /// How many wait for an answer, or were answered before an older one.
    var count: Int { waiting.count }

    /// Notes a publish that is sent now.
    mutating func append(_ publish: Publish) {
        waiting.append(publish)
    }

    /// Takes an answer of the broker, and passes the publishes that it decides to `decide`, oldest first.
    ///
    /// An answer to a number that doesn't wait decides nothing.
    mutating func confirm(_ tag: UInt64, multiple: Bool, _ decide: (Publish) -> Void) {
        guard tag >= firstTag, tag - firstTag < UInt64(waiting.count) else { return }
        let index = Int(tag - firstTag)
        if multiple {
            for publish in waiting.prefix(index + 1) {
                if let publish { decide(publish) }
            }
            dropFirst(index + 1)
        } else {
            if let publish = waiting[index] { decide(publish) }
            waiting[index] = nil
        }
        dropAnswered()
    }

    /// Forgets those that nobody waits for any more; their answers, should they come, decide nothing.
    mutating func discard(where isUnwanted: (Publish) -> Bool) {
        for index in waiting.indices {
            if let publish = waiting[index], isUnwanted(publish) { waiting[index] = nil }
        }
        dropAnswered()
    }

    /// Calls `body` with each publish that waits, oldest first, until it returns false.
    func visit(while body: (Publish) -> Bool) {
        for case let publish? in waiting {
            guard body(publish) else { return }
        }
    }

    /// All that wait, oldest first; none waits afterwards.
    ///
    /// For a channel that is gone.
    mutating func takeAll() -> [Publish] {
        defer { self = ConfirmTracker() }
        return waiting.compactMap(\.self)
    }

    private mutating func dropAnswered() {
        dropFirst(waiting.firstIndex { $0 != nil } ?? waiting.count)
    }

    private mutating func dropFirst(_ count: Int) {
        guard count > 0 else { return }
        waiting.removeFirst(count)
        firstTag += UInt64(count)
    }
}
