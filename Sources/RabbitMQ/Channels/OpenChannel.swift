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
        /// The broker was asked to close the channel and hasn't answered yet; callers may wait for that.
        case closing([Reply<Void>])
    }

    let id: ChannelID
    var role: Role
    var assembler = ContentAssembler()
    var settlements = SettlementTracker()
    /// The consumer's position, if it reads a stream.
    var stream = StreamPosition()
    /// Deliveries that were read but not yet passed to the reader.
    var batch: [Delivery] = []
    /// True if the broker is to requeue what is unsettled as soon as the consumer has ended.
    var requeuesUnsettled = false
    /// Callers that wait until the channel of the consumer is closed.
    var closeWaiters: [Reply<Void>] = []
    /// The settlements that the broker may still be processing.
    var recentSettlements = RecentSettlements()
    /// Settles this channel's deliveries; once the consumer has ended, only those deliveries keep it.
    var settler: ChannelSettler? { keptSettler ?? deliveriesSettler }
    /// The settler for a delivery's program.
    var deliverySettler: any DeliverySettler {
        if !settlesItself, let keptSettler { keptSettler } else { NoSettler.shared }
    }
    /// True if the broker takes deliveries as settled when it sends them.
    let settlesItself: Bool
    private var keptSettler: ChannelSettler?
    private weak var deliveriesSettler: ChannelSettler?

    /// True for the channel of the publisher.
    var isPublishing: Bool { if case .publishing = role { true } else { false } }

    init(id: ChannelID, role: Role, thread: ConnectionThread) {
        self.id = id
        self.role = role
        let batch: Int
        var settlesItself = false
        if case .consuming(let consumer) = role {
            settlesItself = consumer.consumption.options.isAutomaticallyAcknowledged
            // Only part of the prefetch may wait, since the broker sends no more until deliveries are settled.
            let prefetch = Int(consumer.consumption.prefetch)
            batch = prefetch == 0 ? 64 : min(64, max(1, prefetch / 4))
        } else {
            batch = 1
        }
        self.settlesItself = settlesItself
        let settler = ChannelSettler(thread: thread, channel: id, batch: batch)
        keptSettler = settler
        deliveriesSettler = settler
    }

    /// True if every delivery is settled, or none of the others can be settled any more because the program let it go.
    ///
    /// For a consumer that has ended: from then on the deliveries alone keep the settler.
    func hasSettledAll() -> Bool {
        keptSettler = nil
        return settlements.isEmpty || deliveriesSettler == nil
    }

    /// Passes the deliveries that were read to their reader, in one batch.
    func deliverBatch() {
        guard !batch.isEmpty, case .consuming(let consumer) = role else { return }
        consumer.source.yield(batch)
        batch.removeAll()
    }

    /// Adds a settlement to be sent.
    ///
    /// Returns false if it is too late: the channel is closing, or its number now belongs to another.
    func enqueue(_ request: SettlementRequest) -> Bool {
        guard id == request.channel else { return false }
        if case .closing = role { return false }
        // A stream keeps its messages, and RabbitMQ closes a connection that returns one to it (540).
        _ = settlements.settle(request.tag, stream.isKnown ? .ack : request.settlement)
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

    deinit {
        guard !isGone else { return }
        thread.post { [channel] in $0.deliveriesGone(of: channel) }
    }

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

/// Discards the settlements of deliveries that the broker takes as settled when it sends them.
final class NoSettler: DeliverySettler {
    static let shared = NoSettler()

    func settle(_ tag: UInt64, _ settlement: DeliverySettlement) {}
}

/// The settlement frames that went out recently, which must be processed before their channel is closed.
///
/// RabbitMQ's channel process holds back those beyond 32 until a quorum queue has processed the others, and drops them
/// when it ends: seen on 3.10.8. There is no request by which it tells that it has none left, and that would not take a
/// message from the queue.
struct RecentSettlements {
    /// The number of frames that the broker never holds back, with a margin.
    private static let harmlessCount = 16
    private static let longestPause = Duration.seconds(2)

    private var count = 0
    private var since: ContinuousClock.Instant?
    private var last: ContinuousClock.Instant?

    /// Records that frames are sent.
    mutating func note(_ count: Int, at now: ContinuousClock.Instant) {
        if let since, since + .seconds(1) > now {
            self.count += count
        } else {
            self.count = count
            since = now
        }
        last = now
    }

    /// The time at which the broker has processed them, unless it is very slow; `nil` if it has now.
    func processed(after now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        guard count > Self.harmlessCount, let last else { return nil }
        let time = last + min(.milliseconds(100 + 5 * count), Self.longestPause)
        return time > now ? time : nil
    }
}
