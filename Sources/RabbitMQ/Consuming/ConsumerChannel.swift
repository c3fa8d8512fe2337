import AMQP
import Synchronization

/// A channel with one consumer on it: from its opening to its end, and again after a lost connection.
///
/// A state machine: events in, actions out, no I/O.
struct ConsumerChannel {
    /// What the connection should do.
    enum Action: Equatable {
        /// Send a method on this channel.
        case send(OutboundMethod)
        /// The channel is no longer needed: close it.
        case close
    }

    /// What becomes of a consumer whose channel the broker closed.
    enum CloseOutcome {
        /// It is over; its reader knows why.
        case ended
        /// Its queue is gone: declare what this client has declared, and consume again.
        case redeclare
        /// Its queue belongs to another connection for now: consume again later.
        case retryLater
    }

    /// What is consumed, and how.
    struct Consumption: Sendable {
        var queue: String
        var prefetch: UInt16
        var arguments: FieldTable
    }

    private enum Phase {
        /// There is no connection now.
        case suspended
        case opening
        case settingPrefetch
        case starting
        case running
        case cancelling
        case ended
    }

    let consumption: Consumption
    let stream: DeliveryStream
    private var phase = Phase.opening
    private var consumerTag = ""
    /// True once the consumer has run on a connection that was lost.
    private var isRecovering = false
    /// True once the queue was declared again for this recovery.
    private var hasRedeclared = false
    /// Which channel its reader can cancel it by.
    let ref: ConsumerChannelRef
    /// Who waits for the consumer to be registered.
    let started: Reply<Void>
    /// Who waits for the broker to say that no more deliveries come.
    private var cancelled: [Reply<Void>] = []

    init(
        _ consumption: Consumption,
        stream: DeliveryStream,
        started: Reply<Void>,
        ref: ConsumerChannelRef = ConsumerChannelRef()
    ) {
        self.consumption = consumption
        self.stream = stream
        self.started = started
        self.ref = ref
    }

    /// True while the broker is asked to stop its deliveries.
    var isCancelling: Bool { phase == .cancelling }

    /// True once its deliveries have stopped, while they may still be settled.
    var isCancelled: Bool { phase == .ended }

    /// True if nobody reads it: its caller gave up before it ran.
    var isAbandoned: Bool { phase == .ended || started.isDone && !isRecovering }

    /// Its channel is being opened.
    mutating func opening(_ id: ChannelID) {
        phase = .opening
        ref.set(id)
    }

    /// The broker answered the step that is under way; the next one.
    mutating func answered(_ method: InboundMethod) -> Action? {
        switch (phase, method) {
        case (.opening, .channelOpenOk):
            phase = .settingPrefetch
            return .send(.qos(prefetch: consumption.prefetch))
        case (.settingPrefetch, .qosOk):
            phase = .starting
            return .send(.consume(queue: consumption.queue, consumerTag: "", arguments: consumption.arguments))
        case (.starting, .consumeOk(let tag)):
            phase = .running
            consumerTag = tag
            // Nobody waits any more: the caller was cancelled or its time is up.
            if started.isDone && !isRecovering { return .close }
            stream.setRegistered(true)
            isRecovering = false
            hasRedeclared = false
            started.finish(.success(()))
            return nil
        case (.cancelling, .cancelOk):
            end()
            return nil
        default:
            return nil
        }
    }

    /// The user wants no more deliveries.
    mutating func cancel(_ reply: Reply<Void>) -> Action? {
        switch phase {
        case .running:
            phase = .cancelling
            cancelled.append(reply)
            return .send(.cancel(consumerTag: consumerTag))
        case .cancelling:
            cancelled.append(reply)
        case .suspended, .opening, .settingPrefetch, .starting:
            // Not registered yet, or not again: there is nothing to cancel, and it shall not be registered any more.
            end()
            reply.finish(.success(()))
        case .ended:
            reply.finish(.success(()))
        }
        return nil
    }

    /// The broker cancelled the consumer, as it does when the queue is deleted or its leader is lost.
    mutating func cancelledByBroker(mustAnswer: Bool) -> Action? {
        end(.consumerCancelled(queue: consumption.queue))
        return mustAnswer ? .send(.cancelOk(consumerTag: consumerTag)) : nil
    }

    /// The broker closed the channel.
    mutating func channelClosed(_ reply: BrokerReply) -> CloseOutcome {
        if isRecovering {
            if reply.code == 404 && !hasRedeclared {
                hasRedeclared = true
                phase = .suspended
                return .redeclare
            }
            if reply.code == 405 {
                phase = .suspended
                return .retryLater
            }
        }
        let error =
            phase == .running || phase == .cancelling
            ? AMQPError.consumerChannelClosed(queue: consumption.queue, reply)
            : AMQPError.refused(
                .consume(queue: consumption.queue, consumerTag: "", arguments: consumption.arguments),
                reply
            )
        end(error)
        return .ended
    }

    /// The connection is gone, and a new one is being made.
    ///
    /// Returns whether the consumer should be registered again.
    mutating func connectionLost() -> Bool {
        switch phase {
        case .running, .suspended:
            isRecovering = true
        case .opening, .settingPrefetch, .starting: break
        case .cancelling, .ended:
            end()
            return false
        }
        stream.setRegistered(false)
        phase = .suspended
        return true
    }

    /// The channel or the connection is gone; without an error, because the user closed it.
    mutating func end(_ error: AMQPError? = nil) {
        phase = .ended
        stream.finish(throwing: error)
        started.finish(error.map(Result.failure) ?? .failure(AMQPError(.channelClosed, "The consumer was closed.")))
        for reply in cancelled { reply.finish(.success(())) }
        cancelled = []
    }
}

/// Which channel a delivery stream reads; known only once the channel is opened, after the stream is made, and another after a recovery.
final class ConsumerChannelRef: Sendable {
    private let channel = Mutex<ChannelID?>(nil)

    var id: ChannelID? { channel.withLock(\.self) }

    func set(_ id: ChannelID) { channel.withLock { $0 = id } }
}
