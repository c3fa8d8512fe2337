import AMQP
import CRabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// One connection of librabbitmq: its state, its socket and the memory for its calls.
///
/// Not copyable, so that there is one owner; that owner is a connection's actor, whose executor is the one thread that may call it.
/// No pointer leaves this folder.
@safe struct BrokerSocket: ~Copyable {
    let state: amqp_connection_state_t
    private let usesTLS: Bool
    var arena = EncodingArena()

    /// Connects and logs in.
    ///
    /// Blocks, for at most `configuration.connectTimeout` each.
    static func connect(_ configuration: ConnectionConfiguration) throws(AMQPError) -> BrokerSocket {
        guard let state = unsafe amqp_new_connection() else {
            throw AMQPError(.connectionFailed, "There is no memory for a connection to \(configuration.endpoint).")
        }
        let socket = unsafe BrokerSocket(state: state, usesTLS: configuration.tls != nil)
        try socket.openSocket(configuration)
        try socket.logIn(configuration)
        return socket
    }

    private init(state: amqp_connection_state_t, usesTLS: Bool) {
        self.usesTLS = usesTLS
        unsafe self.state = unsafe state
    }

    deinit {
        unsafe amqp_destroy_connection(state)
    }

    /// The socket's file descriptor, to be polled.
    var descriptor: Int32 { unsafe amqp_get_sockfd(state) }

    /// The agreed heartbeat; zero is none.
    var heartbeat: Duration { unsafe .seconds(Int(amqp_get_heartbeat(state))) }

    /// What the broker says of itself.
    var serverProperties: FieldTable {
        guard let table = unsafe amqp_get_server_properties(state) else { return FieldTable() }
        return unsafe FieldTable(copying: table.pointee)
    }

    /// The next frame that has arrived whole; `nil` if there is none yet.
    ///
    /// Sends a heartbeat when one is due.
    mutating func nextFrame() throws(AMQPError) -> (channel: UInt16, frame: InboundFrame)? {
        var noWait = timeval(tv_sec: 0, tv_usec: 0)
        var frame = unsafe amqp_frame_t()
        while true {
            let status = unsafe amqp_simple_wait_frame_noblock(state, &frame, &noWait)
            if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
            try check(status, "The connection was lost")
            if let copy = unsafe InboundFrame(copying: frame) { return unsafe (frame.channel, copy) }
        }
    }

    /// True if ``nextFrame()`` may have a frame although the socket can't be read: part of what was read is still to be taken apart.
    var hasBufferedFrames: Bool {
        // OpenSSL decrypts whole records, of which poll() knows nothing.
        unsafe usesTLS || amqp_data_in_buffer(state) != 0 || amqp_frames_enqueued(state) != 0
    }

    /// While it is corked, the system sends only full segments: many small frames become few packets.
    func cork(_ isCorked: Bool) {
        #if canImport(Darwin)
        let option = TCP_NOPUSH
        #else
        let option = TCP_CORK
        #endif
        var value: Int32 = isCorked ? 1 : 0
        _ = unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Gives back the memory of the frames that were read on a channel; they are copied already.
    func release(channel: UInt16) {
        unsafe amqp_maybe_release_buffers_on_channel(state, channel)
    }

    /// Throws for a status that isn't OK.
    func check(_ status: Int32, _ what: String) throws(AMQPError) {
        guard status != AMQP_STATUS_OK.rawValue else { return }
        let code: AMQPError.Code = status == AMQP_STATUS_TABLE_TOO_BIG.rawValue ? .invalidArgument : .connectionLost
        throw AMQPError(code, "\(what): \(Self.text(of: status)).")
    }

    /// librabbitmq's words for a status.
    static func text(of status: Int32) -> String {
        unsafe amqp_error_string2(status).map { unsafe String(cString: $0) } ?? "status \(status)"
    }
}
