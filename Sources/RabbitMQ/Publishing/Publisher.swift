import AMQP
import DequeModule
import Synchronization

/// The publishing side of a connection: one channel in confirm mode, the publishes that wait to be sent, and those that
/// wait for their confirms.
///
/// A state machine: events in, actions out, no I/O. The channel opens with the first publish. When the broker closes it
/// because of one message (for example, the exchange doesn't exist), that message's publish fails; the others are sent
/// again on a new channel, since it is unknown which of them the broker accepted. The same applies when the connection
/// is lost and made again. So messages are delivered at least once, within their deadlines, and one bad publish doesn't
/// affect another.
struct Publisher {
    /// An action for the connection to perform.
    enum Action: Equatable {
        /// Open a channel; ``opened(_:)`` reports its number.
        case openChannel
        /// Send a method on the channel.
        case send(OutboundMethod, channel: UInt16)
    }

    /// The number of times that a publish is sent if the broker closes the connection for an error each time: this
    /// publish may be the cause.
    private static let sendsDespiteFaults = 3

    /// A publish and the number of times that it has been sent.
    private struct Waiting {
        var publish: PendingPublish
        var sends = 0
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
            hasWork: hasWaiting || unconfirmedCount > 0,
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
        guard case .ready(let channel) = phase, blockedReason == nil else { return nil }
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
    mutating func next() -> (publish: PendingPublish, channel: UInt16)? {
        guard let channel = readyChannel else { return nil }
        while var waiting = outgoing.popFirst() {
            if waiting.publish.isDone { continue }
            waiting.publish.markSent()
            waiting.sends += 1
            unconfirmed.append(waiting)
            return (waiting.publish, channel)
        }
        return nil
    }

    /// Removes the message that ``next()`` returned last, because it could not be encoded.
    mutating func takeBackLast() { unconfirmed.removeLast() }

    /// Handles a confirm.
    mutating func acknowledged(_ tag: UInt64, multiple: Bool) {
        unconfirmed.confirm(tag, multiple: multiple) { $0.publish.succeed() }
    }

    /// Handles a refusal (`basic.nack`).
    mutating func refused(_ tag: UInt64, multiple: Bool) {
        unconfirmed.confirm(tag, multiple: multiple) { waiting in
            waiting.publish.fail(.nacked(to: waiting.publish.destination))
        }
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
        func check(_ publish: PendingPublish, ifLate fail: (PendingPublish) -> Void) {
            if publish.isDone { return }
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
        // Otherwise expired publishes would accumulate during a long outage of the broker.
        unconfirmed.discard { $0.publish.isDone }
        outgoing.removeAll { $0.publish.isDone }
    }

    private func fail(unsent publish: PendingPublish) {
        if publish.wasSent {
            publish.failUnconfirmed()
        } else if let blockedReason {
            publish.fail(.publishBlocked(reason: blockedReason))
        } else {
            publish.failUnsent(
                connectionError.map { ", because the connection was lost and has not been recovered: \($0.message)" }
                    ?? ""
            )
        }
    }

    /// Handles the close of the channel by the broker.
    mutating func channelClosed(_ reply: BrokerReply) -> Action? {
        phase = .closed
        let sent = unconfirmed.takeAll().filter { !$0.publish.isDone }
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
            publish.fail(.refusedPublish(of: publish.message, to: publish.destination, reply))
        }
        outgoing.prepend(contentsOf: sent.filter { !$0.publish.isDone })
        return openIfNeeded()
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
    mutating func connectionLost(_ error: AMQPError) -> Int {
        phase = .disconnected
        connectionError = error
        blockedReason = nil
        let isFault = error.reply?.isFault == true
        var again: [Waiting] = []
        for waiting in unconfirmed.takeAll() where !waiting.publish.isDone {
            if isFault && waiting.sends >= Self.sendsDespiteFaults {
                waiting.publish.failLost(error)
            } else {
                again.append(waiting)
            }
        }
        outgoing.prepend(contentsOf: again)
        return again.count
    }

    /// Records that another attempt to connect failed.
    mutating func noteConnectionError(_ error: AMQPError) { connectionError = error }

    /// Fails everything, since there will be no connection: a publish that was sent has an unknown outcome, any other a
    /// known one.
    mutating func end(_ error: AMQPError) {
        for waiting in unconfirmed.takeAll() { waiting.publish.failLost(error) }
        for waiting in outgoing {
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

    private mutating func openIfNeeded() -> Action? {
        guard case .closed = phase, !outgoing.isEmpty else { return nil }
        phase = .opening
        return .openChannel
    }

    /// True if the broker's reply concerns this publish.
    private static func isRejected(_ publish: PendingPublish, by reply: BrokerReply) -> Bool {
        reply.text.contains("exchange '\(publish.destination.exchange)' in vhost")
            || reply.text.contains("message size \(publish.message.body.count) ")
    }
}

extension BrokerReply {
    /// True if the broker closed the connection because of an error, perhaps ours, and not at its operator's request
    /// (320).
    fileprivate var isFault: Bool { code >= 400 }
}

/// A publish on its way to its confirm, and the slot for the outcome for which its caller waits.
final class PendingPublish: Sendable {
    let message: Message
    let destination: Destination
    let mandatory: Bool
    let deadline: ContinuousClock.Instant
    private let slot = ReplySlot<Void>()
    private let sent = Atomic(false)

    init(_ message: Message, to destination: Destination, mandatory: Bool, deadline: ContinuousClock.Instant) {
        self.message = message
        self.destination = destination
        self.mandatory = mandatory
        self.deadline = deadline
    }

    /// True once the outcome is decided.
    var isDone: Bool { slot.isDone }

    /// True once the message was sent, so that a failure may leave the outcome unknown.
    var wasSent: Bool { sent.load(ordering: .acquiring) }

    /// Records that the message is sent now.
    func markSent() { sent.store(true, ordering: .releasing) }

    /// Waits for the outcome; a cancelled task gets ``AMQPError/publishCancelled(to:)``.
    func outcome() async throws(AMQPError) {
        let result = await withTaskCancellationHandler {
            await slot.wait()
        } onCancel: {
            fail(.publishCancelled(to: destination))
        }
        try result.get()
    }

    /// Reports that the broker has taken responsibility for the message.
    func succeed() { slot.finish(.success(())) }

    /// Fails the publish because the deadline passed before the message was sent.
    func failUnsent(_ cause: String = "") { fail(.publishDeadlinePassed(to: destination, cause)) }

    /// Fails the publish with an error that quotes the broker's reply, if there is one.
    func fail(_ code: AMQPError.Code, _ message: String, reply brokerReply: BrokerReply? = nil) {
        fail(AMQPError(code, message, reply: brokerReply))
    }

    func fail(_ error: AMQPError) { slot.finish(.failure(error)) }

    fileprivate func failUnconfirmed() {
        fail(
            .confirmTimedOut,
            """
            The broker did not confirm the message to \(destination) by the deadline. It may have accepted it: publishing again can \
            create a duplicate.
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

/// The publishes on a channel in confirm mode that still wait for the broker's answer.
///
/// Confirms identify messages by number: the first on a channel is 1. One answer may cover all messages up to its
/// number (<https://www.rabbitmq.com/docs/confirms#publisher-confirms>).
struct ConfirmTracker<Publish> {
    private var waiting: Deque<Publish?> = []
    private var firstTag: UInt64 = 1

    init() {}

    /// The number of publishes that wait for an answer, or were answered before an older one.
    var count: Int { waiting.count }

    /// Adds a publish that is sent now.
    mutating func append(_ publish: Publish) {
        waiting.append(publish)
    }

    /// Removes the publish that was added last, which was not sent after all.
    mutating func removeLast() { waiting.removeLast() }

    /// Handles an answer from the broker, and passes the publishes that it decides to `decide`, oldest first.
    ///
    /// An answer to a number that doesn't wait is ignored.
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

    /// Removes the publishes for which nobody waits any more; if their answers still come, they are ignored.
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

    /// Removes all publishes that wait, and returns them, oldest first.
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
