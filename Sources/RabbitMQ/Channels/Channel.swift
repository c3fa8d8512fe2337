import AMQP
import Synchronization

/// The open channels of a connection, by number.
///
/// Looked up for each frame, so it is an array and not a dictionary.
struct ChannelTable {
    /// The largest number; RabbitMQ's default `channel_max`.
    static let lastNumber: UInt16 = 2047
    /// How many channels consumers leave to publishes and requests.
    private static let reserved: UInt16 = 3

    private var channels: [Channel?] = []

    init() {}

    /// The channel with a number; `nil` if none is open.
    subscript(number: UInt16) -> Channel? {
        get { Int(number) < channels.count ? channels[Int(number)] : nil }
        set {
            while channels.count <= Int(number) { channels.append(nil) }
            channels[Int(number)] = newValue
        }
    }

    /// All open channels.
    var open: [Channel] { channels.compactMap(\.self) }

    /// The lowest number that isn't in use; `nil` if all are.
    func freeNumber(forConsumer: Bool) -> UInt16? {
        (1...(Self.lastNumber - (forConsumer ? Self.reserved : 0))).first { self[$0] == nil }
    }

    /// Takes a channel out.
    mutating func remove(_ number: UInt16) -> Channel? {
        defer { if self[number] != nil { self[number] = nil } }
        return self[number]
    }
}

/// What the connection keeps of one open channel.
///
/// Belongs to the connection's actor, and never leaves it.
final class Channel {
    /// What a channel is for.
    enum Role {
        case publishing
        case requests(RequestPurpose)
        case consuming(ConsumerChannel)
        /// We wait for the broker to have taken the last settlements, and will then close the channel.
        case flushing(Reply<Void>?)
        /// We asked the broker to close it and wait for the answer.
        case closing(Reply<Void>?)
    }

    let id: ChannelID
    var role: Role
    var assembler = ContentAssembler()
    var settlements = SettlementTracker()
    /// How many frames of settlements were sent since the consumer was cancelled.
    var framesSinceCancel = 0
    /// Deliveries that were read and not yet handed to the reader.
    var batch: [Delivery] = []
    /// What this channel's deliveries are settled through.
    let settler: ChannelSettler

    init(id: ChannelID, role: Role, thread: ConnectionThread) {
        self.id = id
        self.role = role
        let batch: Int
        if case .consuming(let consumer) = role {
            // Not more than a part of the prefetch may wait: the broker sends no more until it is settled.
            let prefetch = Int(consumer.consumption.prefetch)
            batch = prefetch == 0 ? 64 : min(64, max(1, prefetch / 4))
        } else {
            batch = 1
        }
        settler = ChannelSettler(thread: thread, channel: id, batch: batch)
    }

    /// Hands the deliveries that were read to their reader, as one batch.
    func deliverBatch() {
        guard !batch.isEmpty, case .consuming(let consumer) = role else { return }
        consumer.stream.yield(batch)
        batch.removeAll()
    }

    /// Takes a settlement to be sent.
    ///
    /// Returns false if it comes too late: the channel is closing, or is another by now.
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

/// Requests go over channels of their own by what an error would cost.
enum RequestPurpose: Sendable, Hashable {
    /// Declarations and the like.
    case topology
    /// Gets, whose unsettled deliveries an error on the channel would give back.
    case gets
}

/// Takes the settlements of one channel's deliveries to the connection thread.
///
/// Good for as long as anybody holds a delivery.
final class ChannelSettler: DeliverySettler {
    private let thread: ConnectionThread
    private let channel: ChannelID
    private let batch: Int
    private let gone = Atomic(false)

    /// - Parameter batch: How many settlements may wait a moment for each other.
    init(thread: ConnectionThread, channel: ChannelID, batch: Int) {
        self.thread = thread
        self.channel = channel
        self.batch = batch
    }

    var isGone: Bool { gone.load(ordering: .acquiring) }

    /// The channel is gone, or about to be closed: the broker takes its deliveries back.
    func invalidate() { gone.store(true, ordering: .releasing) }

    func settle(_ tag: UInt64, _ settlement: DeliverySettlement) {
        thread.post(SettlementRequest(channel: channel, tag: tag, settlement: settlement), batch: batch)
    }
}

/// A delivery's settlement on its way to the channel that the delivery came on.
struct SettlementRequest: Sendable {
    var channel: ChannelID
    var tag: UInt64
    var settlement: DeliverySettlement
}

/// One opening of a channel on one connection.
///
/// Channel numbers are used again; this isn't.
struct ChannelID: Sendable, Hashable {
    var number: UInt16
    var opening: UInt64
}
