import AMQP
import DequeModule

/// The messages of a stream and the progress of each reader; reading removes nothing.
///
/// A value. The first message ever has offset 0, and position 1 as in other queues.
struct StreamLog: Sendable {
    /// The message at which a reader starts.
    enum Start: Sendable, Hashable {
        case first
        /// The last message present.
        case last
        /// The next message to arrive.
        case next
        case offset(UInt64)
        /// The first message that arrived at this time since 1970 or later.
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
    /// The offset of the first message still present.
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

    /// Restores a message at the offset that a journal has for it; the first messages may be gone.
    mutating func restore(_ content: StoredContent, offset: UInt64, at time: Duration) {
        if entries.isEmpty { firstOffset = offset }
        if offset == endOffset { _ = append(content, at: time) }
    }

    /// Drops the oldest messages beyond the limits, but never the last one; returns the offsets of the dropped ones.
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

    /// Notes that a reader has settled a delivery; returns whether there are more messages for it.
    mutating func settled(_ channel: ChannelID) -> Bool {
        guard let reader = readers[channel] else { return false }
        readers[channel]?.unsettled -= 1
        return reader.next < endOffset
    }

    /// Assigns to each reader the messages for which it has room.
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
    /// The start that a consumer's arguments ask for; by default the next message.
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
    /// An age in the notation of stream arguments, such as `7D` or `30s`.
    init?(streamAge text: String) {
        let units: [Character: Int64] = ["Y": 31_536_000, "M": 2_592_000, "D": 86_400, "h": 3_600, "m": 60, "s": 1]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()), count >= 0 else {
            return nil
        }
        self = .seconds(count * unit)
    }
}
