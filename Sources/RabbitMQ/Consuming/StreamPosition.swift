import AMQP
import DequeModule

/// A consumer's position in a stream, from which another consumer can go on.
///
/// A stream keeps its messages, and each consumer says where it begins
/// (<https://www.rabbitmq.com/docs/streams#consuming>). Beginning again where the last one began would skip or repeat
/// messages, so a recovered consumer begins at the first message that the program hasn't settled: like those of
/// other queues, unsettled deliveries come again, and no message is skipped.
struct StreamPosition {
    private static let header = "x-stream-offset"

    /// False once the first delivery turns out not to come from a stream.
    private var isStream = true
    /// The deliveries that may be unsettled, in order.
    private var offsets: Deque<(tag: UInt64, offset: Int64)> = []
    private var last: Int64?

    init() {}

    /// True if the deliveries come from a stream.
    var isKnown: Bool { isStream && last != nil }

    /// Records a delivery.
    ///
    /// - Parameters:
    ///   - tag: The delivery's number.
    ///   - headers: The message's headers.
    ///   - earliest: All deliveries before this one are settled.
    mutating func delivered(_ tag: UInt64, _ headers: FieldTable?, unsettledFrom earliest: UInt64) {
        guard isStream else { return }
        guard let offset = headers?[Self.header]?.integerValue else {
            // A stream numbers all its messages.
            isStream = false
            return
        }
        while let first = offsets.first, first.tag < earliest { offsets.removeFirst() }
        offsets.append((tag, offset))
        last = offset
    }

    /// The offset at which to go on; `nil` if nothing was delivered, or not from a stream.
    ///
    /// - Parameter firstUnsettled: The first delivery that isn't settled, if there is one.
    func next(firstUnsettled: UInt64?) -> Int64? {
        guard isStream, let last else { return nil }
        if let firstUnsettled, let first = offsets.first(where: { $0.tag >= firstUnsettled }) { return first.offset }
        return last + 1
    }

    /// A consumer's arguments with another beginning.
    static func arguments(_ arguments: FieldTable, from offset: Int64) -> FieldTable {
        var arguments = arguments
        arguments[header] = .int64(offset)
        return arguments
    }
}
