import AMQP
import CRabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Bytes from a broker over plain TCP that librabbitmq has yet to decode.
@safe struct InboundBuffer: ~Copyable {
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 * 1024, alignment: 16)
    private var next = 0
    private var end = 0
    /// True if the last read filled less than the memory, so that the socket is empty.
    private var hasReadAll = false

    init() {}

    deinit { unsafe memory.deallocate() }

    /// True if everything that was read has been decoded.
    var isEmpty: Bool { next == end }

    /// Reads what the socket holds, without blocking; returns false if that is nothing.
    ///
    /// - Throws: `connectionLost`.
    mutating func read(from socket: Int32) throws(AMQPError) -> Bool {
        // One more call would only find the socket empty.
        if hasReadAll { return false }
        while true {
            let count = unsafe recv(socket, memory.baseAddress, memory.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                next = 0
                end = count
                hasReadAll = unsafe count < memory.count
                return true
            }
            if count == 0 {
                throw AMQPError(.connectionLost, "The connection was lost: the broker or a proxy closed it.")
            }
            if errno == EINTR { continue }
            if errno == EAGAIN || errno == EWOULDBLOCK { return false }
            throw AMQPError(.connectionLost, "The connection was lost: \(unsafe String(cString: strerror(errno))).")
        }
    }

    /// Records that `poll()` reports the socket as readable.
    mutating func noteReadable() { hasReadAll = false }

    /// Decodes at most one frame; its type is 0 if the bytes end before the frame does.
    ///
    /// Returns a status of librabbitmq's that is negative for an error.
    mutating func decode(_ state: amqp_connection_state_t, _ frame: inout amqp_frame_t) -> Int32 {
        let bytes = unsafe amqp_bytes_t(len: end - next, bytes: memory.baseAddress.map { unsafe $0 + next })
        let count = unsafe amqp_handle_input(state, bytes, &frame)
        if count > 0 { next += Int(count) }
        return count
    }
}
