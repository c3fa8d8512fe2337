/// Follows the frames of one direction of an AMQP connection, however its bytes are split.
///
/// It knows where frames begin and end, and on which channels a `basic.deliver` was sent. A frame is a type octet, a
/// channel, a size, that number of bytes, and an end octet (AMQP 0-9-1, section 2.3.5); a client begins with eight
/// bytes that are not a frame.
struct FrameTracker: Sendable {
    /// The frame's seven bytes of header, as far as they have arrived.
    private var head: [UInt8] = []
    /// The number of bytes missing to the next frame or, while `head` is incomplete, zero.
    private var left: Int
    /// The first four bytes of the payload: a method's class and number.
    private var method: [UInt8] = []
    /// The channels on which messages were delivered.
    private(set) var deliveringChannels: Set<UInt16> = []

    /// - Parameter greeting: The number of bytes before the first frame: 8 from a client, 0 from a broker.
    init(greeting: Int) { left = greeting }

    /// True if the next byte begins a frame.
    var isAtBoundary: Bool { left == 0 && head.isEmpty }

    /// Follows bytes that pass.
    mutating func pass(_ bytes: some Sequence<UInt8>) { for byte in bytes { pass(byte) } }

    /// The number of bytes that pass before one would begin a frame; `nil` if none does.
    ///
    /// The position before the first byte counts.
    func firstBoundary(in bytes: [UInt8]) -> Int? { position(in: bytes) { $0.isAtBoundary } }

    /// The number of bytes that pass before a position in the middle of a frame; `nil` if there is none.
    func firstMiddle(in bytes: [UInt8]) -> Int? { position(in: bytes) { !$0.head.isEmpty && $0.left > 1 } }

    private func position(in bytes: [UInt8], where isThere: (FrameTracker) -> Bool) -> Int? {
        var tracker = self
        for (index, byte) in bytes.enumerated() {
            if isThere(tracker) { return index }
            tracker.pass(byte)
        }
        return isThere(tracker) ? bytes.count : nil
    }

    private mutating func pass(_ byte: UInt8) {
        if left == 0 {
            head.append(byte)
            guard head.count == 7 else { return }
            left = head[3...6].reduce(0) { $0 << 8 | Int($1) } + 1
            method = []
            return
        }
        if method.count < 4, !head.isEmpty {
            method.append(byte)
            if head[0] == 1, method == [0, 60, 0, 60] {
                deliveringChannels.insert(UInt16(head[1]) << 8 | UInt16(head[2]))
            }
        }
        left -= 1
        if left == 0 { head = [] }
    }
}

/// A frame that no sane client sends.
enum BadFrame {
    /// `basic.ack` of a delivery that never was, for which a broker closes the channel with 406.
    static func acknowledgement(ofUnknownDeliveryOn channel: UInt16) -> [UInt8] {
        let payload: [UInt8] = [0, 60, 0, 80, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0]
        return [1, UInt8(channel >> 8), UInt8(channel & 0xFF), 0, 0, 0, UInt8(payload.count)] + payload + [0xCE]
    }
}
