import AMQP
import Synchronization

/// A channel with one consumer, from its opening to its end, and again after a lost connection.
///
/// A state machine: events in, actions out, no I/O.
struct ConsumerChannel {
    /// An action for the connection to perform.
    enum Action: Equatable {
        /// Send a method on this channel.
        case send(OutboundMethod)
        /// Close the channel, which isn't needed any more.
        case close
    }

    /// The consequence for a consumer whose channel the broker closed.
    enum CloseOutcome {
        /// It has ended, and its reader gets the reason.
        case ended
        /// Its queue is gone: repeat this client's declarations, and consume again.
        case redeclare
        /// Another connection has exclusive use of its queue for now: consume again later.
        case retryLater
    }

    /// The queue to consume, and how.
    struct Consumption: Sendable {
        var queue: String
        var prefetch: UInt16
        var arguments: FieldTable
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

    let consumption: Consumption
    let stream: DeliveryStream
    private var phase = Phase.opening
    private var consumerTag = ""
    /// True if the consumer was running on a connection that was lost, and isn't registered again yet.
    private var isRecovering = false
    /// The offset at which to go on after recovery, if the queue is a stream and something was delivered.
    private var streamOffset: Int64?
    /// True if the queue was declared again during this recovery.
    private var hasRedeclared = false
    /// The present channel, by which the reader can cancel the consumer.
    let ref: ConsumerChannelRef
    /// The reply for the caller that waits until the consumer is registered.
    let started: Reply<Void>
    /// The replies for callers that wait until the broker has stopped deliveries.
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

    /// True while the channel is being opened.
    var isOpening: Bool { phase == .opening }

    /// True while the broker has been asked to stop deliveries and hasn't answered yet.
    var isCancelling: Bool { phase == .cancelling }

    /// True once deliveries have stopped; those that came may still be settled.
    var isCancelled: Bool { phase == .ended }

    /// True if nobody reads the deliveries: the consumer has ended, or its caller gave up before it was registered.
    var isAbandoned: Bool { phase == .ended || started.isDone && !isRecovering }

    /// Handles the beginning of the channel's opening.
    mutating func opening(_ id: ChannelID) {
        phase = .opening
        ref.set(id)
    }

    /// Handles the answer to the step that is under way, and returns the next one.
    mutating func answered(_ method: InboundMethod) -> Action? {
        switch (phase, method) {
        case (.opening, .channelOpenOk):
            phase = .settingPrefetch
            return .send(.qos(prefetch: consumption.prefetch))
        case (.settingPrefetch, .qosOk):
            phase = .starting
            return .send(.consume(queue: consumption.queue, consumerTag: "", arguments: arguments))
        case (.starting, .consumeOk(let tag)):
            phase = .running
            consumerTag = tag
            // The caller doesn't wait any more: it was cancelled, or its deadline passed.
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

    /// Handles the reader's request to stop deliveries.
    mutating func cancel(_ reply: Reply<Void>) -> Action? {
        switch phase {
        case .running:
            phase = .cancelling
            cancelled.append(reply)
            return .send(.cancel(consumerTag: consumerTag))
        case .cancelling:
            cancelled.append(reply)
        case .suspended, .opening, .settingPrefetch, .starting:
            // Not registered yet, or not again yet: there is nothing to cancel, and it must not be registered any more.
            end()
            reply.finish(.success(()))
        case .ended:
            reply.finish(.success(()))
        }
        return nil
    }

    /// Handles a cancellation by the broker, as when the queue is deleted or its leader is lost.
    mutating func cancelledByBroker(mustAnswer: Bool) -> Action? {
        end(.consumerCancelled(queue: consumption.queue))
        return mustAnswer ? .send(.cancelOk(consumerTag: consumerTag)) : nil
    }

    /// Handles the close of the channel by the broker.
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

    /// The arguments with which to register; a stream's consumer goes on where it was.
    private var arguments: FieldTable {
        streamOffset.map { StreamPosition.arguments(consumption.arguments, from: $0) } ?? consumption.arguments
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
        stream.setRegistered(false)
        phase = .suspended
        return true
    }

    /// Ends the consumer, with an error unless the user closed it.
    mutating func end(_ error: AMQPError? = nil) {
        phase = .ended
        stream.finish(throwing: error)
        started.finish(error.map(Result.failure) ?? .failure(AMQPError(.channelClosed, "The consumer was closed.")))
        for reply in cancelled { reply.finish(.success(())) }
        cancelled = []
    }
}

/// A reference to the channel of a delivery stream.
///
/// The channel is opened after the stream is created, and replaced by another on recovery.
final class ConsumerChannelRef: Sendable {
    private let channel = Mutex<ChannelID?>(nil)

    var id: ChannelID? { channel.withLock(\.self) }

    func set(_ id: ChannelID) { channel.withLock { $0 = id } }
}
