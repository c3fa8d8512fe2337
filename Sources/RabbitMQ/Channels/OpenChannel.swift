import AMQP
import Synchronization

/// The state of one open channel.
///
/// Belongs to the connection's actor and never leaves it.
final class OpenChannel {
    /// The purpose of a channel.
    enum Role {
        case publishing
        case requests(RequestPurpose)
        case consuming(ConsumerChannel)
        /// The broker is still processing the last settlements; then the channel is closed.
        case flushing(Reply<Void>?)
        /// The broker was asked to close the channel and hasn't answered yet.
        case closing(Reply<Void>?)
    }

    let id: ChannelID
    var role: Role
    var assembler = ContentAssembler()
    var settlements = SettlementTracker()
    /// The consumer's position, if it reads a stream.
    var stream = StreamPosition()
    /// The number of settlement frames sent since the consumer was cancelled.
    var framesSinceCancel = 0
    /// Deliveries that were read but not yet passed to the reader.
    var batch: [Delivery] = []
    /// Settles this channel's deliveries.
    let settler: ChannelSettler

    /// True for the channel of the publisher.
    var isPublishing: Bool { if case .publishing = role { true } else { false } }

    init(id: ChannelID, role: Role, thread: ConnectionThread) {
        self.id = id
        self.role = role
        let batch: Int
        if case .consuming(let consumer) = role {
            // Only part of the prefetch may wait, since the broker sends no more until deliveries are settled.
            let prefetch = Int(consumer.consumption.prefetch)
            batch = prefetch == 0 ? 64 : min(64, max(1, prefetch / 4))
        } else {
            batch = 1
        }
        settler = ChannelSettler(thread: thread, channel: id, batch: batch)
    }

    /// Passes the deliveries that were read to their reader, in one batch.
    func deliverBatch() {
        guard !batch.isEmpty, case .consuming(let consumer) = role else { return }
        consumer.stream.yield(batch)
        batch.removeAll()
    }

    /// Adds a settlement to be sent.
    ///
    /// Returns false if it is too late: the channel is closing, or its number now belongs to another.
    func enqueue(_ request: SettlementRequest) -> Bool {
        guard id == request.channel else { return false }
        switch role {
        case .flushing, .closing: return false
        case .publishing, .requests, .consuming: break
        }
        _ = settlements.settle(request.tag, request.settlement)
        return true
    }
}

/// The kinds of request, each with its own channel because of what an error on it would cost.
enum RequestPurpose: Sendable, Hashable {
    /// Declarations and the like.
    case topology
    /// Gets: an error on their channel would requeue their unsettled deliveries.
    case gets
}

/// The identity of one channel during one opening.
///
/// Unlike a channel number, it is never reused.
struct ChannelID: Sendable, Hashable {
    var number: UInt16
    var opening: UInt64
}

/// The open channels of a connection, by number.
///
/// An array rather than a dictionary, since each frame needs a lookup.
struct ChannelTable {
    /// The number of channels that consumers leave to publishes and requests.
    private static let reserved: UInt16 = 3

    /// The largest channel number, as agreed at log-in; RabbitMQ's default `channel_max` before that.
    let lastNumber: UInt16
    private var channels: [OpenChannel?] = []

    /// Creates a table without channels.
    init(lastNumber: UInt16 = 2047) { self.lastNumber = lastNumber }

    /// The channel with a number; `nil` if none is open.
    subscript(number: UInt16) -> OpenChannel? {
        get { Int(number) < channels.count ? channels[Int(number)] : nil }
        set {
            while channels.count <= Int(number) { channels.append(nil) }
            channels[Int(number)] = newValue
        }
    }

    /// All open channels.
    var open: [OpenChannel] { channels.compactMap(\.self) }

    /// Returns the lowest free number; `nil` if all are in use.
    func freeNumber(forConsumer: Bool) -> UInt16? {
        let last = lastNumber - (forConsumer ? min(Self.reserved, lastNumber) : 0)
        return last == 0 ? nil : (1...last).first { self[$0] == nil }
    }

    /// Removes a channel, and returns it.
    mutating func remove(_ number: UInt16) -> OpenChannel? {
        defer { if self[number] != nil { self[number] = nil } }
        return self[number]
    }
}

/// Posts the settlements of one channel's deliveries to the connection's thread.
///
/// Lives as long as any of the deliveries.
final class ChannelSettler: DeliverySettler {
    private let thread: ConnectionThread
    private let channel: ChannelID
    private let batch: Int
    private let gone = Atomic(false)

    /// Creates a settler.
    ///
    /// - Parameter batch: The number of settlements that may wait briefly to be sent together.
    init(thread: ConnectionThread, channel: ChannelID, batch: Int) {
        self.thread = thread
        self.channel = channel
        self.batch = batch
    }

    var isGone: Bool { gone.load(ordering: .acquiring) }

    /// Marks the channel as gone or about to be closed, so that the broker requeues its deliveries.
    func invalidate() { gone.store(true, ordering: .releasing) }

    func settle(_ tag: UInt64, _ settlement: DeliverySettlement) {
        thread.post(SettlementRequest(channel: channel, tag: tag, settlement: settlement), batch: batch)
    }
}

/// A settlement on its way to the channel of its delivery.
struct SettlementRequest: Sendable {
    var channel: ChannelID
    var tag: UInt64
    var settlement: DeliverySettlement
}
