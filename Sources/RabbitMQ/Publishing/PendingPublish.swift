import AMQP
import DequeModule
import Synchronization

/// A publish on its way to its confirm, and the slot for the outcome for which its caller waits.
final class PendingPublish: Sendable {
    let message: Message
    /// The message's properties as they are on the wire: its caller encodes them, not the connection's thread.
    let properties: [UInt8]
    let destination: Destination
    let mandatory: Bool
    let deadline: ContinuousClock.Instant
    private let slot = ReplySlot<Void>()
    private let sent = Atomic(false)

    /// Creates a publish of a message that is valid and whose properties have been encoded.
    init(
        _ message: Message,
        properties: [UInt8],
        to destination: Destination,
        mandatory: Bool,
        deadline: ContinuousClock.Instant
    ) {
        self.message = message
        self.properties = properties
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

    /// Fails the publish because its channel is gone, and the broker may or may not have kept the message.
    func failUncertain(because reply: BrokerReply) {
        fail(
            .channelLost,
            "The broker closed the publishing channel (\(reply.text)) before it confirmed the message to \(destination).",
            reply: reply
        )
    }

    /// Fails the publish because no channel can be opened; if it was sent on an earlier one, its outcome is unknown.
    func failUnopened(_ error: AMQPError) {
        if wasSent { return failLost(error) }
        fail(error.code, "The message to \(destination) was not sent: \(error.message)", reply: error.reply)
    }

    func failUnconfirmed() {
        fail(
            .confirmTimedOut,
            """
            The broker did not confirm the message to \(destination) by the deadline. It may have accepted it: publishing again can \
            create a duplicate.
            """
        )
    }

    func failLost(_ error: AMQPError) {
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
