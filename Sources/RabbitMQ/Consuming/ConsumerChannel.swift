import AMQP
import Synchronization

/// A channel with one consumer, from its opening to its end, and again after a lost connection.
///
/// A state machine: events in, actions out, no I/O.
struct ConsumerChannel: Sendable {
    /// The consequence for a consumer whose channel the broker closed.
    enum CloseOutcome {
        /// It has ended, and its reader gets the reason.
        case ended
        /// Its queue is gone: repeat this client's declarations, and consume again.
        case redeclare
        /// Its queue can't be consumed now: consume again at ``resumesAt``.
        case retryLater
    }

    /// The queue to consume, and how.
    struct Consumption: Sendable {
        var queue: String
        var prefetch: UInt16
        var options = ConsumeOptions()
    }

    private enum Phase {
        /// Without a connection at present.
        case suspended
        case opening
        case settingPrefetch
        case starting
        case running
        case cancelling
        case ended
    }

    /// The pause before a consumer tries again a queue that another connection holds exclusively: often this client's
    /// own previous connection, which the broker hasn't given up yet.
    private static let lockedQueuePause = Duration.seconds(1)

    let consumption: Consumption
    let source: DeliveryStream.Source
    private var phase = Phase.opening
    private var consumerTag = ""
    /// True if the consumer was running on a connection that was lost, and isn't registered again yet.
    private var isRecovering = false
    /// The offset at which to go on after recovery, if the queue is a stream and something was delivered.
    private var streamOffset: Int64?
    /// True if the queue was declared again during this recovery.
    private var hasRedeclared = false
    /// The time before which it isn't registered again, because the queue could not be consumed.
    private(set) var resumesAt: ContinuousClock.Instant?
    private var backoff = Backoff(from: .seconds(1), to: .seconds(30))
    /// The present connection and channel, by which the reader can cancel the consumer.
    let ref: ConsumerRef
    /// The reply for the caller that waits until the consumer is registered.
    let started: Reply<Void>
    /// The replies for callers that wait until the broker has stopped deliveries.
    private var cancelled: [Reply<Void>] = []

    init(_ consumption: Consumption, source: DeliveryStream.Source, started: Reply<Void>, ref: ConsumerRef) {
        self.consumption = consumption
        self.source = source
        self.started = started
        self.ref = ref
    }

    /// True while the channel is being opened.
    var isOpening: Bool { phase == .opening }

    /// True while the broker has been asked to register the consumer and hasn't answered yet.
    var isStarting: Bool { phase == .starting }

    /// True while the broker has been asked to stop deliveries and hasn't answered yet.
    var isCancelling: Bool { phase == .cancelling }

    /// True once deliveries have stopped; those that came may still be settled.
    var hasEnded: Bool { phase == .ended }

    /// True if nobody reads the deliveries: the consumer has ended, or its caller gave up before it was registered.
    var isAbandoned: Bool { phase == .ended || started.isDone && !isRecovering }

    /// Handles the beginning of the channel's opening.
    mutating func opening(_ id: ChannelID) {
        phase = .opening
        resumesAt = nil
        ref.channel = id
    }

    /// Handles the answer to the step that is under way, and returns the next method to send.
    mutating func answered(_ method: InboundMethod) -> OutboundMethod? {
        switch (phase, method) {
        case (.opening, .channelOpenOk):
            phase = .settingPrefetch
            return .qos(prefetch: consumption.prefetch)
        case (.settingPrefetch, .qosOk):
            phase = .starting
            return start
        case (.starting, .consumeOk(let tag)):
            phase = .running
            consumerTag = tag
            if started.isDone && !isRecovering {
                // The caller doesn't wait any more: it was cancelled, or its deadline passed.
                phase = .cancelling
                return .cancel(consumerTag: tag)
            }
            source.setRegistered(true)
            isRecovering = false
            hasRedeclared = false
            backoff.reset()
            started.finish(.success(()))
            return nil
        case (.cancelling, .cancelOk):
            end()
            return nil
        default:
            return nil
        }
    }

    /// Handles the reader's request to stop deliveries, and returns the method to send.
    mutating func cancel(_ reply: Reply<Void>?) -> OutboundMethod? {
        switch phase {
        case .running:
            phase = .cancelling
            if let reply { cancelled.append(reply) }
            return .cancel(consumerTag: consumerTag)
        case .cancelling:
            if let reply { cancelled.append(reply) }
        case .suspended, .opening, .settingPrefetch, .starting:
            // Not registered yet, or not again yet: there is nothing to cancel, and it must not be registered any more.
            end()
            reply?.finish(.success(()))
        case .ended:
            reply?.finish(.success(()))
        }
        return nil
    }

    /// Handles a cancellation by the broker, as when the queue is deleted or its leader is lost, and returns the method
    /// to send.
    mutating func cancelledByBroker(mustAnswer: Bool) -> OutboundMethod? {
        end(.consumerCancelled(queue: consumption.queue))
        return mustAnswer ? .cancelOk(consumerTag: consumerTag) : nil
    }

    /// Handles the close of the channel by the broker.
    mutating func channelClosed(_ reply: BrokerReply, now: ContinuousClock.Instant) -> CloseOutcome {
        let error =
            phase == .running || phase == .cancelling
            ? AMQPError.consumerChannelClosed(queue: consumption.queue, reply) : .refused(start, reply)
        if isRecovering {
            switch error.code {
            case .notFound where !hasRedeclared:
                hasRedeclared = true
                phase = .suspended
                return .redeclare
            case .resourceLocked:
                suspend(until: now + Self.lockedQueuePause)
                return .retryLater
            case .unavailable:
                suspend(until: now + backoff.next())
                return .retryLater
            default: break
            }
        }
        end(error)
        return .ended
    }

    /// Handles the close of the connection by the broker because it could not register this consumer.
    ///
    /// Returns whether the consumer should be registered again, at ``resumesAt``; one that was never registered ends.
    mutating func refusedWithConnection(_ reply: BrokerReply, now: ContinuousClock.Instant) -> Bool {
        let error = AMQPError.refused(start, reply)
        guard isRecovering, error.isRetriable else {
            end(error)
            return false
        }
        suspend(until: now + backoff.next())
        return true
    }

    private mutating func suspend(until instant: ContinuousClock.Instant) {
        source.setRegistered(false)
        phase = .suspended
        resumesAt = instant
    }

    private var start: OutboundMethod {
        var options = consumption.options
        // A stream's consumer goes on where it was.
        if let streamOffset { options.arguments = StreamPosition.arguments(options.arguments, from: streamOffset) }
        return .consume(queue: consumption.queue, options)
    }

    /// Handles the loss of the connection; a new one is being made.
    ///
    /// Returns whether the consumer should be registered again.
    ///
    /// - Parameter streamOffset: The offset at which to go on, if deliveries came from a stream.
    mutating func connectionLost(streamOffset: Int64? = nil) -> Bool {
        self.streamOffset = streamOffset ?? self.streamOffset
        switch phase {
        case .running, .suspended:
            isRecovering = true
        case .opening, .settingPrefetch, .starting: break
        case .cancelling, .ended:
            end()
            return false
        }
        source.setRegistered(false)
        phase = .suspended
        return true
    }

    /// Ends the consumer, with an error unless the user cancelled it.
    mutating func end(_ error: AMQPError? = nil) {
        phase = .ended
        source.finish(throwing: error)
        started.finish(error.map(Result.failure) ?? .failure(AMQPError(.channelClosed, "The consumer was cancelled.")))
        for reply in cancelled { reply.finish(.success(())) }
        cancelled = []
    }
}

/// The place of a delivery stream's consumer: its connection and channel, which recovery replaces.
final class ConsumerRef: Sendable {
    private struct State {
        weak var connection: Connection?
        var channel: ChannelID?
    }

    private let state = Mutex(State())

    /// The connection that has the consumer now; `nil` once it is gone.
    var connection: Connection? {
        get { state.withLock(\.connection) }
        set { state.withLock { $0 = State(connection: newValue) } }
    }

    var channel: ChannelID? {
        get { state.withLock(\.channel) }
        set { state.withLock { $0.channel = newValue } }
    }
}
