import AMQP
import CRabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The bytes of a connection: those of its TCP socket, or those inside its TLS connection.
///
/// No call blocks. The socket and the TLS connection belong to librabbitmq, which must still have them.
@safe struct ByteStream {
    private let descriptor: Int32
    private let tls: warren_tls_stream?

    /// The bytes of a TCP socket.
    init(socket descriptor: Int32) {
        self.descriptor = descriptor
        unsafe tls = nil
    }

    /// The bytes inside a TLS connection over a socket.
    init(_ tls: warren_tls_stream, socket descriptor: Int32) {
        self.descriptor = descriptor
        unsafe self.tls = unsafe tls
    }

    /// True if a read that fills less than the memory given to it has emptied the socket; over TLS it has only read to
    /// the end of a record.
    var emptiesAtOnce: Bool { unsafe tls == nil }

    /// Reads what has arrived; returns 0 if that is nothing.
    ///
    /// - Throws: `connectionLost`.
    func read(into memory: UnsafeMutableRawBufferPointer) throws(AMQPError) -> Int {
        if let tls = unsafe tls { return try unsafe read(tls, into: memory) }
        while true {
            let count = unsafe recv(descriptor, memory.baseAddress, memory.count, Int32(MSG_DONTWAIT))
            if count > 0 { return count }
            if count == 0 { throw Self.closedByPeer }
            if errno == EINTR { continue }
            if errno == EAGAIN || errno == EWOULDBLOCK { return 0 }
            throw AMQPError(.connectionLost, "The connection was lost: \(Self.systemError).")
        }
    }

    private func read(
        _ tls: warren_tls_stream,
        into memory: UnsafeMutableRawBufferPointer
    ) throws(AMQPError) -> Int {
        let count = unsafe withUnsafePointer(to: tls) { tls in
            unsafe warren_stream_read(tls, memory.baseAddress, Int32(clamping: memory.count))
        }
        if count >= 0 { return Int(count) }
        if count == -1 { throw Self.closedByPeer }
        throw AMQPError(.connectionLost, "The connection was lost: \(Self.tlsError).")
    }

    /// Writes as much as is accepted at once; returns 0 if that is nothing.
    ///
    /// Over TLS, bytes that weren't accepted must begin the next write.
    ///
    /// - Throws: `connectionLost`.
    func write(_ bytes: UnsafeRawBufferPointer) throws(AMQPError) -> Int {
        if let tls = unsafe tls { return try unsafe write(tls, bytes) }
        #if canImport(Darwin)
        let flags = MSG_DONTWAIT
        #else
        let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
        #endif
        while true {
            let count = unsafe send(descriptor, bytes.baseAddress, bytes.count, flags)
            if count >= 0 { return count }
            if errno == EINTR { continue }
            if errno == EAGAIN || errno == EWOULDBLOCK { return 0 }
            throw AMQPError(.connectionLost, "The connection was lost while sending: \(Self.systemError).")
        }
    }

    private func write(_ tls: warren_tls_stream, _ bytes: UnsafeRawBufferPointer) throws(AMQPError) -> Int {
        let count = unsafe withUnsafePointer(to: tls) { tls in
            unsafe warren_stream_write(tls, bytes.baseAddress, Int32(clamping: bytes.count))
        }
        if count >= 0 { return Int(count) }
        throw AMQPError(.connectionLost, "The connection was lost while sending: \(Self.tlsError).")
    }

    private static var closedByPeer: AMQPError {
        AMQPError(.connectionLost, "The connection was lost: the broker or a proxy closed it.")
    }

    private static var systemError: String { unsafe String(cString: strerror(errno)) }

    private static var tlsError: String {
        let system = errno
        if let fault = TLSFault.last { return "TLS failed: \(fault.text)" }
        return system == 0 ? "the broker or a proxy closed it" : unsafe String(cString: strerror(system))
    }
}
