import AMQP
import DequeModule

/// The messages of a stream and how far each of its readers is: reading takes nothing away.
///
/// A value. The first message ever has offset 0, and position 1 as in other queues.
struct StreamLog: Sendable {
    /// Where a reader begins.
    enum Start: Sendable, Hashable {
        case first
        /// With the last message that is there.
        case last
        /// With the next message that comes.
        case next
        case offset(UInt64)
        /// With the first that came at this time since 1970 or later.
        case time(Duration)
    }

    private struct Reader: Sendable {
        var next: UInt64
        var prefetch: Int
        var unsettled = 0
    }

    private struct Entry: Sendable {
        var content: StoredContent
        var time: Duration
    }

    private var entries: Deque<Entry> = []
    /// The offset of the first message that is still there.
    private var firstOffset: UInt64 = 0
    private var readers: [ChannelID: Reader] = [:]
    private(set) var bytes = 0

    init() {}

    var count: Int { entries.count }
    private var endOffset: UInt64 { firstOffset + UInt64(entries.count) }

    /// Adds a message at the end; returns its offset.
    mutating func append(_ content: StoredContent, at time: Duration) -> UInt64 {
        entries.append(Entry(content: content, time: time))
        bytes += content.size
        return endOffset - 1
    }

    /// Puts a message where a journal says that it was: the first ones may be gone.
    mutating func restore(_ content: StoredContent, offset: UInt64, at time: Duration) {
        if entries.isEmpty { firstOffset = offset }
        if offset == endOffset { _ = append(content, at: time) }
    }

    /// Drops the oldest messages that are beyond the stream's bounds, of which the last always stays; returns their offsets.
    mutating func trim(maxAge: Duration?, maxBytes: Int?, now: Duration) -> [UInt64] {
        var dropped: [UInt64] = []
        while entries.count > 1, let oldest = entries.first {
            let isOld = maxAge.map { oldest.time + $0 <= now } ?? false
            let isSurplus = maxBytes.map { bytes > $0 } ?? false
            guard isOld || isSurplus else { break }
            entries.removeFirst()
            bytes -= oldest.content.size
            dropped.append(firstOffset)
            firstOffset += 1
        }
        return dropped
    }

    mutating func addReader(_ channel: ChannelID, prefetch: Int, from start: Start) {
        let next: UInt64 =
            switch start {
            case .first: firstOffset
            case .last: max(firstOffset, endOffset == 0 ? 0 : endOffset - 1)
            case .next: endOffset
            case .offset(let offset): offset
            case .time(let time): firstOffset + UInt64(entries.firstIndex { $0.time >= time } ?? entries.count)
            }
        readers[channel] = Reader(next: next, prefetch: prefetch)
    }

    mutating func removeReader(_ channel: ChannelID) { readers[channel] = nil }

    /// A reader has settled a delivery; returns whether there is more for it.
    mutating func settled(_ channel: ChannelID) -> Bool {
        guard let reader = readers[channel] else { return false }
        readers[channel]?.unsettled -= 1
        return reader.next < endOffset
    }

    /// Hands each reader what it has room for.
    mutating func assign(to assignments: inout [MessageQueue.Assignment]) {
        for channel in readers.keys.sorted(by: { $0.number < $1.number }) {
            guard var reader = readers[channel] else { continue }
            reader.next = max(reader.next, firstOffset)
            while reader.unsettled < reader.prefetch, reader.next < endOffset {
                let content = entries[Int(reader.next - firstOffset)].content
                let message = StoredMessage(content: content, position: reader.next + 1)
                assignments.append(MessageQueue.Assignment(channel: channel, message: message))
                reader.next += 1
                reader.unsettled += 1
            }
            readers[channel] = reader
        }
    }
}

extension StreamLog.Start {
    /// Where the arguments of a consumer say that it begins, by default with the next message.
    init(_ arguments: FieldTable, ofQueue queue: String, now: Duration) throws(BrokerRefusal) {
        switch arguments["x-stream-offset"] {
        case nil: self = .next
        case .string("first"): self = .first
        case .string("last"): self = .last
        case .string("next"): self = .next
        case .timestamp(let seconds): self = .time(.seconds(Int64(clamping: seconds)))
        case .string(let text):
            guard let age = Duration(streamAge: text) else {
                throw Self.refusal(of: "{longstr,<<\"\(text)\">>}", queue)
            }
            self = .time(now - age)
        case .some(let value):
            guard let number = value.integerValue, number >= 0 else {
                throw Self.refusal(of: "{\(value.typeName),\(value.brokerText)}", queue)
            }
            self = .offset(UInt64(number))
        }
    }

    private static func refusal(of value: String, _ queue: String) -> BrokerRefusal {
        .invalidArgument("x-stream-offset", ofQueue: queue, "{invalid_stream_offset_arg,\(value)}")
    }
}

extension Duration {
    /// An age as arguments of streams say it, such as `7D` or `30s`.
    init?(streamAge text: String) {
        let units: [Character: Int64] = ["Y": 31_536_000, "M": 2_592_000, "D": 86_400, "h": 3_600, "m": 60, "s": 1]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()), count >= 0 else {
            return nil
        }
        self = .seconds(count * unit)
    }
}
