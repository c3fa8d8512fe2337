import AMQP
import DequeModule

/// The publishing side of a connection: one channel in confirm mode, what waits to be sent, and what waits for its confirm.
///
/// A state machine: events in, actions out, no I/O. The channel opens with the first publish. When the broker closes it because of one
/// message (an exchange that doesn't exist, say), that message's publish fails; the others are sent again on a new channel, since
/// nobody knows which of them the broker took. So they are delivered at least once, and one bad publish harms no other.
struct Publisher {
    /// What the connection should do.
    enum Action {
        /// Open a channel; its number comes back in ``opened(_:)``.
        case openChannel
        /// Send a method on the channel.
        case send(OutboundMethod, channel: UInt16)
    }

    private enum Phase {
        case closed
        case opening
        case selecting(channel: UInt16)
        case ready(channel: UInt16)
    }

    private var phase = Phase.closed
    private var outgoing: Deque<PendingPublish> = []
    private var unconfirmed = ConfirmTracker<PendingPublish>()
    /// Not later than the first deadline of all that wait; `nil` if none does.
    private(set) var nextDeadline: ContinuousClock.Instant?
    /// Why the broker takes no publishes now, if it doesn't.
    var blockedReason: String?

    init() {}

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
            outgoing.append(publish)
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
        while let publish = outgoing.popFirst() {
            if publish.reply.isDone { continue }
            unconfirmed.append(publish)
            return (publish, channel)
        }
        return nil
    }

    /// The broker confirmed.
    mutating func acknowledged(_ tag: UInt64, multiple: Bool) {
        unconfirmed.confirm(tag, multiple: multiple) { $0.reply.finish(.success(())) }
    }

    /// The broker refused.
    mutating func refused(_ tag: UInt64, multiple: Bool) {
        unconfirmed.confirm(tag, multiple: multiple) { publish in
            publish.fail(
                .nacked,
                """
                The broker refused the message to \(publish.destination): a queue there is full and rejects new messages, or it \
                could not store it. Nothing was kept; publish again later.
                """
            )
        }
    }

    /// The broker returned a message that no queue takes.
    ///
    /// Its confirm follows, and finds the publish failed.
    mutating func returned(_ message: Message, to destination: Destination, _ reply: BrokerReply) {
        unconfirmed.visit { publish in
            guard publish.mandatory, publish.destination == destination, !publish.reply.isDone,
                publish.message.properties.messageID == message.properties.messageID
            else { return true }
            publish.fail(
                .unroutable,
                "No queue is bound to take the message to \(destination): declare and bind the queue first. Nothing was kept.",
                reply: reply
            )
            return false
        }
    }

    /// Fails what has waited past its deadline.
    mutating func expire(now: ContinuousClock.Instant) {
        guard let nextDeadline, nextDeadline <= now else { return }
        var next: ContinuousClock.Instant?
        func look(at publish: PendingPublish, ifLate fail: (PendingPublish) -> Void) {
            if publish.reply.isDone { return }
            if publish.deadline <= now { return fail(publish) }
            next = min(next ?? publish.deadline, publish.deadline)
        }
        unconfirmed.visit { publish in
            look(at: publish) { late in
                late.fail(
                    .confirmTimedOut,
                    """
                    The broker did not confirm the message to \(late.destination) by the deadline. It may have taken it: publishing \
                    again can make a duplicate.
                    """
                )
            }
            return true
        }
        for publish in outgoing {
            look(at: publish) { late in
                if let blockedReason {
                    late.fail(
                        .blocked,
                        "The broker takes no messages now (\(blockedReason)), and did not until the deadline. Nothing was sent."
                    )
                } else {
                    late.fail(
                        .deadlineExceeded,
                        "The deadline passed before the message to \(late.destination) was sent."
                    )
                }
            }
        }
        self.nextDeadline = next
        if next == nil { outgoing.removeAll() }
    }

    /// The broker closed the channel.
    mutating func channelClosed(_ reply: BrokerReply) -> Action? {
        phase = .closed
        let sent = unconfirmed.takeAll().filter { !$0.reply.isDone }
        let culprits = sent.filter { Self.isCulprit($0, reply) }
        guard !culprits.isEmpty else {
            for publish in sent {
                publish.fail(
                    .channelLost,
                    "The broker closed the publishing channel (\(reply.text)) before it confirmed the message to \(publish.destination).",
                    reply: reply
                )
            }
            return openIfNeeded()
        }
        for culprit in culprits { culprit.reply.finish(.failure(.refusedPublish(culprit, reply))) }
        outgoing.prepend(contentsOf: sent.filter { !$0.reply.isDone })
        return openIfNeeded()
    }

    /// The connection is gone: what was sent has an unknown outcome, what was not sent a known one.
    mutating func connectionLost(_ error: AMQPError) {
        for publish in unconfirmed.takeAll() {
            publish.fail(
                .connectionLost,
                "The connection was lost before the broker confirmed the message to \(publish.destination): \(error.message)",
                reply: error.reply
            )
        }
        for publish in outgoing {
            publish.fail(
                .connectionClosed,
                "The message to \(publish.destination) was not sent: \(error.message)",
                reply: error.reply
            )
        }
        self = Publisher()
    }

    private mutating func openIfNeeded() -> Action? {
        guard case .closed = phase, !outgoing.isEmpty else { return nil }
        phase = .opening
        return .openChannel
    }

    /// True if the broker's words are about this publish.
    private static func isCulprit(_ publish: PendingPublish, _ reply: BrokerReply) -> Bool {
        reply.text.contains("exchange '\(publish.destination.exchange)' in vhost")
            || reply.text.contains("message size \(publish.message.body.count) ")
    }
}

extension AMQPError {
    /// The broker closed the channel because of this publish.
    fileprivate static func refusedPublish(_ publish: PendingPublish, _ reply: BrokerReply) -> AMQPError {
        let exchange = publish.destination.exchange
        return switch reply.code {
        case 404:
            AMQPError(
                .notFound,
                "There is no exchange '\(exchange)': declare it before publishing to it. Nothing was kept.",
                reply: reply
            )
        case 403:
            AMQPError(
                .accessRefused,
                "The user may not publish to the exchange '\(exchange)': \(reply.text).",
                reply: reply
            )
        case 406 where reply.text.contains("message size"):
            AMQPError(
                .messageTooLarge,
                "The broker refused a message of \(publish.message.body.count) bytes: \(reply.text).",
                reply: reply
            )
        default:
            AMQPError(
                .refused,
                "The broker refused the message to \(publish.destination): \(reply.text).",
                reply: reply
            )
        }
    }
}
