import AMQP
import CRabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Frames on their way to a broker: encoded by librabbitmq, and written many at a time by calls that never block.
///
/// librabbitmq itself would write a message in three blocking calls. Here a batch of messages takes one, the rest of a
/// batch that the peer doesn't accept waits in this memory, and a message that can't be encoded leaves no trace.
@safe struct OutboundBuffer: ~Copyable {
    /// The size of a frame without its payload: type, channel, length and end mark.
    private static let frameOverhead = 8
    /// The size of a header frame's payload without the properties: class, weight and the body's size.
    private static let headerFields = 12
    /// The capacity that is kept while nothing waits; a large message borrows more.
    private static let usualCapacity = 512 * 1024

    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: usualCapacity, alignment: 16)
    /// The first byte that has not been written to the socket.
    private var head = 0
    /// The end of the last frame.
    private var tail = 0
    /// The largest payload of a frame, as agreed at log-in.
    private let largestPayload: Int

    /// Creates an empty buffer.
    ///
    /// - Parameter frameSize: The largest frame that the broker accepts, in bytes.
    init(frameSize: Int) { largestPayload = frameSize - Self.frameOverhead }

    deinit { unsafe memory.deallocate() }

    /// The number of bytes that have not been written to the socket.
    var count: Int { tail - head }

    // MARK: Encoding

    /// Appends a method.
    ///
    /// - Throws: `EncodingFailure` if AMQP can't express it or it doesn't fit into a frame; then nothing is appended.
    mutating func append<Fields>(
        _ method: amqp_method_number_t,
        channel: UInt16,
        _ fields: inout Fields
    ) throws(EncodingFailure) {
        let frame = tail
        reserve(Self.frameOverhead + largestPayload)
        let id = unsafe memory.baseAddress.map { unsafe $0 + frame + 7 }
        unsafe id?.storeBytes(of: method.bigEndian, as: UInt32.self)
        let encoded = unsafe amqp_bytes_t(len: largestPayload - 4, bytes: id.map { unsafe $0 + 4 })
        let size = unsafe withUnsafeMutablePointer(to: &fields) { unsafe amqp_encode_method(method, $0, encoded) }
        guard size >= 0 else { throw EncodingFailure(status: size) }
        endFrame(type: UInt8(AMQP_FRAME_METHOD), channel: channel, payload: 4 + Int(size))
    }

    /// Appends a method whose arguments are encoded already.
    ///
    /// - Throws: `EncodingFailure` if it doesn't fit into a frame; then nothing is appended.
    mutating func append(
        _ method: amqp_method_number_t,
        arguments: [UInt8],
        channel: UInt16
    ) throws(EncodingFailure) {
        let size = 4 + arguments.count
        guard size <= largestPayload else { throw EncodingFailure(status: AMQP_STATUS_TABLE_TOO_BIG.rawValue) }
        reserve(Self.frameOverhead + size)
        unsafe memory.storeBytes(of: method.bigEndian, toByteOffset: tail + 7, as: UInt32.self)
        copy(arguments[...], at: tail + 11)
        endFrame(type: UInt8(AMQP_FRAME_METHOD), channel: channel, payload: size)
    }

    /// Appends a message: a method, a header, and a body in as many frames as it takes.
    ///
    /// - Parameters:
    ///   - publish: The method's fields.
    ///   - properties: The properties as they are on the wire.
    ///   - body: The body.
    ///   - channel: The channel.
    /// - Throws: `EncodingFailure` if AMQP can't express the method or the properties don't fit into a frame; then
    ///   nothing is appended.
    mutating func append(
        _ publish: inout amqp_basic_publish_t,
        properties: [UInt8],
        body: [UInt8],
        channel: UInt16
    ) throws(EncodingFailure) {
        try checkHeader(properties)
        try unsafe append(warren_basic_publish, channel: channel, &publish)
        appendHeader(properties, bodySize: body.count, channel: channel)
        var rest = body[...]
        while !rest.isEmpty {
            let piece = rest.prefix(largestPayload)
            reserve(Self.frameOverhead + piece.count)
            copy(piece, at: tail + 7)
            endFrame(type: UInt8(AMQP_FRAME_BODY), channel: channel, payload: piece.count)
            rest = rest.dropFirst(piece.count)
        }
    }

    /// Throws `EncodingFailure` if properties don't fit into a frame.
    func checkHeader(_ properties: [UInt8]) throws(EncodingFailure) {
        let size = Self.headerFields + properties.count
        guard size > largestPayload else { return }
        throw EncodingFailure(headerSize: Self.frameOverhead + size, limit: Self.frameOverhead + largestPayload)
    }

    private mutating func appendHeader(_ properties: [UInt8], bodySize: Int, channel: UInt16) {
        let size = Self.headerFields + properties.count
        reserve(Self.frameOverhead + size)
        // The class, and a weight that the protocol has reserved.
        unsafe memory.storeBytes(
            of: UInt32(AMQP_BASIC_CLASS << 16).bigEndian,
            toByteOffset: tail + 7,
            as: UInt32.self
        )
        unsafe memory.storeBytes(of: UInt64(bodySize).bigEndian, toByteOffset: tail + 11, as: UInt64.self)
        copy(properties[...], at: tail + 7 + Self.headerFields)
        endFrame(type: UInt8(AMQP_FRAME_HEADER), channel: channel, payload: size)
    }

    private func copy(_ bytes: ArraySlice<UInt8>, at offset: Int) {
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyMemory(from: bytes)
        }
    }

    /// Appends a heartbeat.
    mutating func appendHeartbeat() {
        reserve(Self.frameOverhead)
        endFrame(type: UInt8(AMQP_FRAME_HEARTBEAT), channel: 0, payload: 0)
    }

    /// Puts the head and end mark around a payload that is already in place behind the last frame.
    private mutating func endFrame(type: UInt8, channel: UInt16, payload: Int) {
        unsafe memory.storeBytes(of: type, toByteOffset: tail, as: UInt8.self)
        unsafe memory.storeBytes(of: channel.bigEndian, toByteOffset: tail + 1, as: UInt16.self)
        unsafe memory.storeBytes(of: UInt32(payload).bigEndian, toByteOffset: tail + 3, as: UInt32.self)
        tail += Self.frameOverhead + payload
        unsafe memory[tail - 1] = UInt8(AMQP_FRAME_END)
    }

    /// Makes room behind the last frame, which may move everything that waits.
    private mutating func reserve(_ byteCount: Int) {
        guard unsafe tail + byteCount > memory.count else { return }
        let waiting = count
        if unsafe waiting + byteCount <= memory.count {
            unsafe memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[head..<tail]))
        } else {
            let capacity = unsafe max(2 * memory.count, waiting + byteCount)
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 16)
            unsafe larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[head..<tail]))
            unsafe memory.deallocate()
            unsafe memory = unsafe larger
        }
        head = 0
        tail = waiting
    }

    // MARK: Writing

    /// Writes as much as is accepted at once; the rest waits for the next call.
    ///
    /// - Throws: `connectionLost`.
    mutating func write(to stream: ByteStream) throws(AMQPError) {
        while head < tail {
            let sent = try unsafe stream.write(UnsafeRawBufferPointer(rebasing: memory[head..<tail]))
            guard sent > 0 else { return }
            head += sent
        }
        head = 0
        tail = 0
        guard unsafe memory.count > Self.usualCapacity else { return }
        unsafe memory.deallocate()
        unsafe memory = .allocate(byteCount: Self.usualCapacity, alignment: 16)
    }
}

/// A value that AMQP can't express: nothing was sent, and the connection is intact.
struct EncodingFailure: Error {
    let status: Int32
    /// The size of a message's header frame and its limit, in bytes, if that is what is too large.
    private var header: (size: Int, limit: Int)?

    init(status: Int32) { self.status = status }

    /// The failure to put a message's properties into a frame; sizes are those of the frames.
    init(headerSize: Int, limit: Int) {
        status = AMQP_STATUS_TABLE_TOO_BIG.rawValue
        header = (headerSize, limit)
    }

    /// The error for the caller whose method or message it was.
    func error(_ subject: String) -> AMQPError {
        if let header {
            return AMQPError(
                .messageTooLarge,
                """
                The headers and properties of \(subject) take \(header.size) bytes, and the broker's limit is \(header.limit) \
                (its frame_max): put the data into the body. Nothing was sent.
                """
            )
        }
        return AMQPError(
            .invalidArgument,
            """
            AMQP can't carry \(subject) (\(BrokerSocket.text(of: status))): names have at most 255 bytes, and all headers or arguments \
            together must fit into one frame. Nothing was sent.
            """
        )
    }
}

/// Bytes from a broker that librabbitmq has yet to decode.
@safe struct InboundBuffer: ~Copyable {
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 * 1024, alignment: 16)
    private var next = 0
    private var end = 0
    /// True if the last read emptied the stream.
    private var hasReadAll = false
    /// True if the next byte is the first of a frame.
    private var isAtFrameStart = true
    /// True if what is left may be the beginning of ``updateSecretOk``.
    private var isIncomplete = false

    /// The frame with which a broker answers `connection.update-secret`: librabbitmq 0.11 would refuse it.
    ///
    /// A method on channel 0, with a payload of 4 bytes: its class and number.
    private static let updateSecretOk: [UInt8] = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 71, UInt8(AMQP_FRAME_END)]

    init() {}

    deinit { unsafe memory.deallocate() }

    /// True if ``decode(_:_:)`` needs more bytes than have been read.
    var needsMore: Bool { next == end || isIncomplete }

    /// True if ``read(from:)`` may find more although `poll()` doesn't report the socket as readable.
    var mayHaveMore: Bool { !hasReadAll }

    /// Reads what the stream holds, without blocking; returns false if that is nothing.
    ///
    /// - Throws: `connectionLost`.
    mutating func read(from stream: ByteStream) throws(AMQPError) -> Bool {
        // One more call would only find the socket empty.
        if hasReadAll { return false }
        let left = end - next
        unsafe memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[next..<end]))
        (next, end) = (0, left)
        let free = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[left...])
        let count = try unsafe stream.read(into: free)
        guard count > 0 else {
            hasReadAll = true
            return false
        }
        end += count
        isIncomplete = false
        hasReadAll = stream.emptiesAtOnce && count < free.count
        return true
    }

    /// Records that `poll()` reports the socket as readable.
    mutating func noteReadable() { hasReadAll = false }

    /// Decodes at most one frame; its type is 0 if the bytes end before the frame does.
    ///
    /// Returns a status of librabbitmq's that is negative for an error.
    mutating func decode(_ state: amqp_connection_state_t, _ frame: inout amqp_frame_t) -> Int32 {
        if isAtFrameStart, beginsUpdateSecretOk() { return unsafe takeUpdateSecretOk(&frame) }
        let bytes = unsafe amqp_bytes_t(len: end - next, bytes: memory.baseAddress.map { unsafe $0 + next })
        let count = unsafe amqp_handle_input(state, bytes, &frame)
        if count > 0 {
            next += Int(count)
            isAtFrameStart = unsafe frame.frame_type != 0
        }
        return count
    }

    private func beginsUpdateSecretOk() -> Bool {
        // Nearly all frames are of other channels.
        if unsafe end - next > 2 && memory[next + 2] != 0 { return false }
        let available = min(end - next, Self.updateSecretOk.count)
        return unsafe memory[next..<next + available].elementsEqual(Self.updateSecretOk.prefix(available))
    }

    private mutating func takeUpdateSecretOk(_ frame: inout amqp_frame_t) -> Int32 {
        unsafe frame.frame_type = 0
        isIncomplete = end - next < Self.updateSecretOk.count
        if isIncomplete { return 0 }
        next += Self.updateSecretOk.count
        unsafe frame.frame_type = UInt8(AMQP_FRAME_METHOD)
        unsafe frame.channel = 0
        unsafe frame.payload.method = amqp_method_t(id: warren_connection_update_secret_ok, decoded: nil)
        return Int32(Self.updateSecretOk.count)
    }
}
