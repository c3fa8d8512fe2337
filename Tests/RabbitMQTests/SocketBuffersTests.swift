import AMQP
import CRabbitMQ
import Testing

@testable import RabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

@Suite(.timeLimit(.minutes(1))) struct SocketBuffersTests {
    @Test func `A message is a method, a header and body frames, each with its end mark`() throws {
        let pipe = SocketPair()
        var buffer = OutboundBuffer(frameSize: 4096)
        let body = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
        try append(body, to: &buffer)
        try buffer.write(to: ByteStream(socket: pipe.near))
        #expect(buffer.count == 0)
        let frames = try Frame.all(in: pipe.received())
        #expect(frames.map(\.type) == [1, 2, 3, 3, 3])
        #expect(frames.allSatisfy { $0.channel == 5 })
        #expect(frames.dropFirst(2).map(\.payload.count) == [4088, 4088, 1824])
        #expect(Array(frames.dropFirst(2).map(\.payload).joined()) == body)
        // basic.publish, and the header of class 60 with the body's size.
        #expect(frames[0].payload.prefix(4) == [0, 60, 0, 40])
        #expect(frames[1].payload.prefix(12) == [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0x27, 0x10])
    }

    @Test func `A message without a body has no body frame`() throws {
        let pipe = SocketPair()
        var buffer = OutboundBuffer(frameSize: 4096)
        try append([], to: &buffer)
        try buffer.write(to: ByteStream(socket: pipe.near))
        #expect(try Frame.all(in: pipe.received()).map(\.type) == [1, 2])
    }

    @Test func `Headers that don't fit into a frame leave no trace of their message`() throws {
        let pipe = SocketPair()
        var buffer = OutboundBuffer(frameSize: 4096)
        try append([1], to: &buffer)
        let count = buffer.count
        var properties = BasicProperties()
        properties.headers = ["large": .string(String(repeating: "x", count: 5000))]
        #expect(throws: EncodingFailure.self) { try append([2], properties, to: &buffer) }
        #expect(buffer.count == count)
        try append([3], to: &buffer)
        try buffer.write(to: ByteStream(socket: pipe.near))
        #expect(try Frame.all(in: pipe.received()).filter { $0.type == 3 }.map(\.payload) == [[1], [3]])
    }

    @Test func `A name that AMQP can't express leaves no trace of its method`() throws {
        var buffer = OutboundBuffer(frameSize: 4096)
        #expect(throws: EncodingFailure.self) { try append([1], key: String(repeating: "k", count: 256), to: &buffer) }
        #expect(buffer.count == 0)
    }

    @Test func `A socket that accepts little gets everything once, in order, over several calls`() throws {
        let pipe = SocketPair(capacity: 8192)
        var buffer = OutboundBuffer(frameSize: 131_072)
        var received: [UInt8] = []
        var calls = 0
        for number in 0..<200 {
            try append([UInt8](repeating: UInt8(number), count: 5000), to: &buffer)
            if number.isMultiple(of: 10) {
                try buffer.write(to: ByteStream(socket: pipe.near))
                received += pipe.received()
            }
        }
        while buffer.count > 0 {
            try buffer.write(to: ByteStream(socket: pipe.near))
            received += pipe.received()
            calls += 1
        }
        #expect(calls > 10)
        let bodies = try Frame.all(in: received).filter { $0.type == 3 }.map(\.payload)
        #expect(bodies == (0..<200).map { [UInt8](repeating: UInt8($0), count: 5000) })
    }

    @Test func `A socket that the peer has closed is an error, not a signal`() {
        let pipe = SocketPair()
        pipe.closeFar()
        var buffer = OutboundBuffer(frameSize: 4096)
        buffer.appendHeartbeat()
        let error = #expect(throws: AMQPError.self) { try buffer.write(to: ByteStream(socket: pipe.near)) }
        #expect(error?.code == .connectionLost)
    }

    @Test func `The answer to a new secret is read between other frames, in whatever pieces it comes`() throws {
        let secretOk: [UInt8] = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 71, 0xCE]
        let unblocked: [UInt8] = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE]
        let heartbeat: [UInt8] = [8, 0, 0, 0, 0, 0, 0, 0xCE]
        let opened: [UInt8] = [1, 0, 1, 0, 0, 0, 8, 0, 20, 0, 11, 0, 0, 0, 0, 0xCE]
        let bytes = unblocked + secretOk + secretOk + opened + secretOk + heartbeat + unblocked
        for size in 1...bytes.count {
            let pipe = SocketPair()
            let reader = try FrameReader(ByteStream(socket: pipe.near))
            var methods: [UInt32] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                pipe.sendFromFar(bytes[start...].prefix(size))
                methods += try reader.frames()
            }
            #expect(methods == [0x000A_003D, 0x000A_0047, 0x000A_0047, 0x0014_000B, 0x000A_0047, 0, 0x000A_003D])
        }
    }

    @Test func `A method that librabbitmq doesn't know is encoded with the arguments that it is given`() throws {
        let pipe = SocketPair()
        var buffer = OutboundBuffer(frameSize: 4096)
        try buffer.append(0x000A_0046, arguments: [0, 0, 0, 1, 7, 0], channel: 0)
        #expect(throws: EncodingFailure.self) {
            try buffer.append(0x000A_0046, arguments: [UInt8](repeating: 7, count: 4085), channel: 0)
        }
        try buffer.write(to: ByteStream(socket: pipe.near))
        let frames = try Frame.all(in: pipe.received())
        #expect(frames.map(\.payload) == [[0, 10, 0, 70, 0, 0, 0, 1, 7, 0]])
    }

    private func append(
        _ body: [UInt8],
        _ properties: BasicProperties = BasicProperties(),
        key: String = "queue",
        to buffer: inout OutboundBuffer
    ) throws {
        var arena = EncodingArena()
        var method = unsafe amqp_basic_publish_t()
        unsafe method.exchange = arena.bytes("")
        unsafe method.routing_key = arena.bytes(key)
        try unsafe buffer.append(&method, properties: properties.encoded(), body: body, channel: 5)
    }
}

/// Reads frames as a connection does.
@safe private final class FrameReader {
    private let state: amqp_connection_state_t
    private let stream: ByteStream
    private var buffer = InboundBuffer()

    init(_ stream: ByteStream) throws {
        unsafe state = try #require(unsafe amqp_new_connection())
        self.stream = stream
    }

    deinit { unsafe amqp_destroy_connection(state) }

    /// The methods' numbers of all frames that have arrived, 0 for other frames.
    func frames() throws -> [UInt32] {
        var methods: [UInt32] = []
        var frame = unsafe amqp_frame_t()
        buffer.noteReadable()
        while true {
            if buffer.needsMore { guard try buffer.read(from: stream) else { return methods } }
            let status = unsafe buffer.decode(state, &frame)
            try #require(status >= 0)
            guard unsafe frame.frame_type != 0 else { continue }
            unsafe methods.append(frame.frame_type == 1 ? frame.payload.method.id : 0)
        }
    }
}

/// A frame, parsed without librabbitmq.
private struct Frame {
    var type: UInt8
    var channel: UInt16
    var payload: [UInt8]

    struct Malformed: Error {}

    static func all(in bytes: [UInt8]) throws -> [Frame] {
        var rest = bytes[...]
        var frames: [Frame] = []
        while !rest.isEmpty {
            guard rest.count >= 8 else { throw Malformed() }
            let head = Array(rest.prefix(7))
            let size = head[3...6].reduce(0) { $0 << 8 | Int($1) }
            guard rest.count >= size + 8 else { throw Malformed() }
            let payload = Array(rest.dropFirst(7).prefix(size))
            guard rest.dropFirst(7 + size).first == 0xCE else { throw Malformed() }
            frames.append(Frame(type: head[0], channel: UInt16(head[1]) << 8 | UInt16(head[2]), payload: payload))
            rest = rest.dropFirst(size + 8)
        }
        return frames
    }
}

/// Two connected sockets.
private final class SocketPair {
    let near: Int32
    private var far: Int32

    init(capacity: Int32? = nil) {
        var ends: [Int32] = [0, 0]
        #if canImport(Darwin)
        let kind = SOCK_STREAM
        #else
        let kind = Int32(SOCK_STREAM.rawValue)
        #endif
        precondition(unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0)
        (near, far) = (ends[0], ends[1])
        if var capacity {
            unsafe setsockopt(near, SOL_SOCKET, SO_SNDBUF, &capacity, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    deinit {
        close(near)
        if far >= 0 { close(far) }
    }

    func closeFar() {
        close(far)
        far = -1
    }

    func sendFromFar(_ bytes: ArraySlice<UInt8>) {
        let sent = unsafe bytes.withUnsafeBytes { unsafe send(far, $0.baseAddress, $0.count, 0) }
        precondition(sent == bytes.count)
    }

    /// Everything that has arrived.
    func received() -> [UInt8] {
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while case let count = unsafe recv(far, &chunk, chunk.count, Int32(MSG_DONTWAIT)), count > 0 {
            all += chunk.prefix(count)
        }
        return all
    }
}
