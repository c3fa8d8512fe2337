import Foundation
import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A broker on loopback that lets each client log in, and then answers as its script says, sensibly or not.
final class ScriptedBroker: Sendable {
    /// A frame from or to a client.
    struct Frame: Sendable {
        var type: UInt8 = 1
        var channel: UInt16
        var payload: [UInt8]

        /// The class and number of a method; 0 for other frames.
        var method: UInt32 {
            type == 1 && payload.count >= 4 ? payload.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } : 0
        }

        /// A method with its encoded arguments.
        static func method(_ method: UInt32, _ arguments: [UInt8] = [], channel: UInt16) -> Frame {
            Frame(channel: channel, payload: method.bytes + arguments)
        }

        fileprivate var bytes: [UInt8] { [type] + channel.bytes + UInt32(payload.count).bytes + payload + [0xCE] }
    }

    /// Returns the answers to a frame of the client's connection with a number, which counts from 1.
    typealias Script = @Sendable (_ connection: Int, Frame) -> [Frame]

    let port: UInt16
    private let descriptor: Int32
    private let connections = Counter()

    var url: String { "amqp://127.0.0.1:\(port)" }
    /// The number of connections that clients have opened so far.
    var connectionCount: Int { connections.value }

    /// Starts the broker.
    ///
    /// - Parameters:
    ///   - channelMax: The largest channel number that it offers.
    ///   - frameMax: The largest frame that it offers, in bytes.
    ///   - script: Its answers; methods that open, select or register are answered as usual if it returns none.
    init(channelMax: UInt16 = 2047, frameMax: UInt32 = 131_072, _ script: @escaping Script = { _, _ in [] }) {
        let descriptor = listeningSocket()
        self.descriptor = descriptor
        port = localPort(of: descriptor)
        Thread.detachNewThread { [connections] in
            while true {
                let client = accept(descriptor, nil, nil)
                guard client >= 0 else {
                    // Here, so that no other broker has the number while this thread still uses it.
                    close(descriptor)
                    return
                }
                let number = connections.next()
                Thread.detachNewThread { Self.serve(client, number, channelMax, frameMax, script) }
            }
        }
    }

    deinit { shutdown(descriptor, Int32(SHUT_RDWR)) }

    private static func serve(
        _ client: Int32,
        _ number: Int,
        _ channelMax: UInt16,
        _ frameMax: UInt32,
        _ script: Script
    ) {
        defer { close(client) }
        func send(_ frame: Frame) {
            let bytes = frame.bytes
            #if canImport(Darwin)
            let flags: Int32 = 0
            #else
            let flags = Int32(MSG_NOSIGNAL)
            #endif
            _ = unsafe bytes.withUnsafeBytes { unsafe sendBytes(client, $0, flags) }
        }
        guard read(client, 8) != nil else { return }
        let (mechanisms, locales) = (Array("PLAIN".utf8), Array("en_US".utf8))
        let offer = UInt32(mechanisms.count).bytes + mechanisms + UInt32(locales.count).bytes + locales
        send(.method(0x000A_000A, [0, 9, 0, 0, 0, 0] + offer, channel: 0))
        while let head = read(client, 7) {
            let size = head.suffix(4).reduce(0) { $0 << 8 | Int($1) }
            guard let payload = read(client, size + 1) else { return }
            let frame = Frame(
                type: head[0],
                channel: UInt16(head[1]) << 8 | UInt16(head[2]),
                payload: payload.dropLast()
            )
            let answers = script(number, frame)
            answers.forEach(send)
            if answers.isEmpty, let usual = usualAnswer(to: frame, channelMax, frameMax) { send(usual) }
            if frame.method == 0x000A_0032 { return }
        }
    }

    private static func usualAnswer(to frame: Frame, _ channelMax: UInt16, _ frameMax: UInt32) -> Frame? {
        switch frame.method {
        case 0x000A_000B: .method(0x000A_001E, channelMax.bytes + frameMax.bytes + UInt16(0).bytes, channel: 0)
        case 0x000A_0028: .method(0x000A_0029, [0], channel: 0)
        case 0x000A_0032: .method(0x000A_0033, channel: 0)
        case 0x0014_000A: .method(0x0014_000B, UInt32(0).bytes, channel: frame.channel)
        case 0x0014_0028: .method(0x0014_0029, channel: frame.channel)
        case 0x003C_000A: .method(0x003C_000B, channel: frame.channel)
        case 0x003C_0014: .method(0x003C_0015, [1, UInt8(ascii: "t")], channel: frame.channel)
        case 0x003C_001E: .method(0x003C_001F, [1, UInt8(ascii: "t")], channel: frame.channel)
        case 0x0055_000A: .method(0x0055_000B, channel: frame.channel)
        default: nil
        }
    }

    private static func read(_ client: Int32, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let received = unsafe bytes.withUnsafeMutableBytes { bytes in
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[filled...])
                return unsafe recv(client, rest.baseAddress, rest.count, 0)
            }
            guard received > 0 else { return nil }
            filled += received
        }
        return bytes
    }
}

extension ScriptedBroker.Frame {
    /// The confirm of a publish.
    static func ack(_ tag: UInt64, channel: UInt16) -> Self { .method(0x003C_0050, tag.bytes + [0], channel: channel) }

    /// The close of a channel, or of the connection for channel 0, because of a method.
    static func close(_ code: UInt16, _ text: String, method: UInt32, channel: UInt16) -> Self {
        let arguments = code.bytes + [UInt8(text.utf8.count)] + Array(text.utf8) + method.bytes
        return .method(channel == 0 ? 0x000A_0032 : 0x0014_0028, arguments, channel: channel)
    }

    /// A delivery without headers or body: a method and a header.
    static func delivery(_ tag: UInt64, channel: UInt16) -> [Self] {
        [
            .method(0x003C_003C, [1, UInt8(ascii: "t")] + tag.bytes + [0, 0, 0], channel: channel),
            Self(type: 2, channel: channel, payload: [0, 60, 0, 0] + UInt64(0).bytes + [0, 0]),
        ]
    }
}

extension FixedWidthInteger {
    /// The bytes in the order of the network.
    fileprivate var bytes: [UInt8] { unsafe withUnsafeBytes(of: bigEndian) { unsafe Array($0) } }
}

private func sendBytes(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, _ flags: Int32) -> Int {
    unsafe send(socket, bytes.baseAddress, bytes.count, flags)
}

/// A socket that listens on loopback.
///
/// - Parameter backlog: The number of connections that may wait to be accepted.
func listeningSocket(port: UInt16 = 0, backlog: Int32 = 64) -> Int32 {
    #if canImport(Darwin)
    let descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #else
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #endif
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    unsafe withUnsafePointer(to: &address) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            _ = unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    _ = listen(descriptor, backlog)
    return descriptor
}

/// The port of a listening socket.
func localPort(of descriptor: Int32) -> UInt16 {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    unsafe withUnsafeMutablePointer(to: &address) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = unsafe getsockname(descriptor, $0, &length) }
    }
    return UInt16(bigEndian: address.sin_port)
}

/// A number that only grows.
final class Counter: Sendable {
    private let number = Mutex(0)

    var value: Int { number.withLock(\.self) }

    /// Adds one, and returns the sum.
    @discardableResult
    func next() -> Int {
        number.withLock { number in
            number += 1
            return number
        }
    }
}
