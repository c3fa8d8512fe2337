import AMQP
import CRabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// One connection of librabbitmq: its state, its socket, and the memory for its calls.
///
/// librabbitmq connects, logs in, and encodes and decodes frames. This type reads and writes them itself, so that no
/// call blocks and one call carries many frames; nothing else may then send, since a frame of librabbitmq's would land
/// in the middle of a half-written one. Only over TLS whose OpenSSL can't be asked does librabbitmq read and write, and
/// then a call blocks while the peer accepts no bytes.
///
/// Not copyable, so that it has one owner: a connection's actor, whose executor is the only thread that may call it.
/// No pointer leaves this folder.
@safe struct BrokerSocket: ~Copyable {
    let state: amqp_connection_state_t
    /// The bytes of the open connection; `nil` if librabbitmq reads and writes them.
    private var stream: ByteStream?
    private var arena = EncodingArena()
    private var outbound = OutboundBuffer(frameSize: ConnectionConfiguration.frameSize)
    private var inbound = InboundBuffer()
    /// The last time that bytes went out; librabbitmq keeps that of the bytes it writes.
    private var lastSent = ContinuousClock.now
    private var lastReceived = ContinuousClock.now
    private var mayLibraryHoldFrames = true
    private let failsSend: (@Sendable () -> Bool)?

    /// Connects and logs in.
    ///
    /// Blocks for at most `configuration.connectTimeout` in each of the two steps.
    static func connect(_ configuration: ConnectionConfiguration) throws(AMQPError) -> BrokerSocket {
        guard let state = unsafe amqp_new_connection() else {
            throw AMQPError(.connectionFailed, "Not enough memory for a connection to \(configuration.endpoint).")
        }
        var socket = unsafe BrokerSocket(state: state, failsSend: configuration.failsSend)
        socket.stream = try socket.openSocket(configuration)
        try socket.logIn(configuration)
        guard socket.frameSize >= ConnectionConfiguration.smallestFrameSize else {
            throw .framesTooSmall(socket.frameSize, configuration.endpoint)
        }
        socket.outbound = unsafe OutboundBuffer(frameSize: Int(amqp_get_frame_max(state)))
        let heartbeat = unsafe Int(amqp_get_heartbeat(state))
        if heartbeat > 0 {
            socket.heartbeat = .seconds(heartbeat)
            socket.sendInterval = .milliseconds(heartbeat * 500)
            socket.heartbeatCheckInterval = .milliseconds(heartbeat * 250)
        }
        socket.lastSent = .now
        socket.lastReceived = .now
        return socket
    }

    private init(state: amqp_connection_state_t, failsSend: (@Sendable () -> Bool)?) {
        self.failsSend = failsSend
        unsafe self.state = unsafe state
    }

    deinit {
        unsafe amqp_destroy_connection(state)
    }

    /// The socket's file descriptor, to be polled.
    var descriptor: Int32 { unsafe amqp_get_sockfd(state) }

    /// The agreed heartbeat interval; zero means no heartbeats.
    private(set) var heartbeat = Duration.zero
    /// The time without sending after which a heartbeat is due.
    private var sendInterval = Duration.zero
    /// The time after which the connection must be looked at for the next heartbeat.
    private(set) var heartbeatCheckInterval = Duration.seconds(3600)

    /// The largest frame that the broker accepts, in bytes.
    var frameSize: Int { unsafe Int(amqp_get_frame_max(state)) }

    /// The largest channel number that the broker accepts.
    var lastChannel: UInt16 { unsafe UInt16(clamping: amqp_get_channel_max(state)) }

    /// The properties by which the broker describes itself.
    var serverProperties: FieldTable {
        guard let table = unsafe amqp_get_server_properties(state) else { return FieldTable() }
        return unsafe FieldTable(copying: table.pointee)
    }

    /// Throws for a status that isn't OK.
    func check(_ status: Int32, _ what: String) throws(AMQPError) {
        guard status != AMQP_STATUS_OK.rawValue else { return }
        let code: AMQPError.Code = status == AMQP_STATUS_TABLE_TOO_BIG.rawValue ? .invalidArgument : .connectionLost
        throw AMQPError(code, "\(what): \(Self.text(of: status)).")
    }

    /// librabbitmq's description of a status.
    static func text(of status: Int32) -> String {
        unsafe amqp_error_string2(status).map { unsafe String(cString: $0) } ?? "status \(status)"
    }

    // MARK: Receiving

    /// Records that `poll()` reports the socket as readable.
    mutating func noteReadable() { inbound.noteReadable() }

    /// Returns the next frame that has arrived in full; `nil` if there is none yet.
    mutating func nextFrame() throws(AMQPError) -> (channel: UInt16, frame: InboundFrame)? {
        var frame = unsafe amqp_frame_t()
        while true {
            guard try unsafe receive(&frame) else { return nil }
            let copy = unsafe InboundFrame(copying: frame)
            let channel = unsafe frame.channel
            // All of it has been copied, so librabbitmq's memory for it is free.
            unsafe amqp_maybe_release_buffers_on_channel(state, channel)
            if let copy { return (channel, copy) }
        }
    }

    private mutating func receive(_ frame: inout amqp_frame_t) throws(AMQPError) -> Bool {
        guard let stream else { return try unsafe receiveByLibrary(&frame) }
        if try unsafe receiveWhatLogInRead(&frame) { return true }
        while true {
            if inbound.needsMore {
                guard try inbound.read(from: stream) else { return false }
                lastReceived = .now
            }
            let status = unsafe inbound.decode(state, &frame)
            if status < 0 { try check(status, "The connection was lost") }
            if unsafe frame.frame_type != 0 { return true }
        }
    }

    /// Takes the frames that librabbitmq read from the socket behind the answers to the log-in, such as an alarm.
    private mutating func receiveWhatLogInRead(_ frame: inout amqp_frame_t) throws(AMQPError) -> Bool {
        while mayLibraryHoldFrames {
            mayLibraryHoldFrames = unsafe amqp_data_in_buffer(state) != 0 || amqp_frames_enqueued(state) != 0
            if mayLibraryHoldFrames, try unsafe receiveByLibrary(&frame) { return true }
        }
        return false
    }

    /// Sends a heartbeat when one is due.
    private func receiveByLibrary(_ frame: inout amqp_frame_t) throws(AMQPError) -> Bool {
        var noWait = timeval(tv_sec: 0, tv_usec: 0)
        let status = unsafe amqp_simple_wait_frame_noblock(state, &frame, &noWait)
        if status == AMQP_STATUS_TIMEOUT.rawValue { return false }
        try check(status, "The connection was lost")
        return true
    }

    /// True if ``nextFrame()`` may return a frame although the socket isn't readable, because bytes that were read
    /// before have yet to be decoded.
    var hasBufferedFrames: Bool {
        // OpenSSL decrypts whole records, so poll() doesn't see what it still holds.
        guard let stream else { return true }
        return !inbound.needsMore || !stream.emptiesAtOnce && inbound.mayHaveMore
    }

    // MARK: Sending

    /// True if sending blocks while the peer accepts no bytes.
    var mayBlock: Bool { stream == nil }

    /// True if the secret of the open connection can be replaced: librabbitmq 0.11 knows neither the method nor the
    /// answer.
    var canUpdateSecret: Bool { stream != nil }

    /// The number of bytes that wait for the peer to accept them.
    var unsentByteCount: Int { outbound.count }

    /// Writes what has been encoded, as much as the socket accepts without blocking.
    mutating func flush(_ now: ContinuousClock.Instant) throws(AMQPError) {
        let before = outbound.count
        guard before > 0, let stream else { return }
        try outbound.write(to: stream)
        if outbound.count < before { lastSent = now }
    }

    /// Sends a heartbeat if nothing has been sent for half the interval, and throws if the broker has been silent for
    /// two (<https://www.rabbitmq.com/docs/heartbeats>).
    ///
    /// If librabbitmq reads and writes, it does both in ``nextFrame()``.
    mutating func keepAlive(_ now: ContinuousClock.Instant) throws(AMQPError) {
        guard !mayBlock, heartbeat > .zero else { return }
        // Nothing is added to a frame that the peer doesn't accept: its first byte keeps the connection alive.
        if lastSent + sendInterval <= now && outbound.count == 0 { outbound.appendHeartbeat() }
        guard lastReceived + heartbeat * 2 <= now else { return }
        throw AMQPError(.connectionLost, "The connection was lost: no heartbeat within \(heartbeat * 2).")
    }

    /// Corks or uncorks a connection that librabbitmq writes: while it is corked, the system sends only full segments,
    /// so that the small frames of one message become few packets.
    ///
    /// Not on macOS, where uncorking sends nothing.
    func cork(_ isCorked: Bool) {
        #if !canImport(Darwin)
        guard mayBlock else { return }
        var value: Int32 = isCorked ? 1 : 0
        _ = unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_CORK, &value, socklen_t(MemoryLayout<Int32>.size))
        #endif
    }

    /// Encodes a method for ``flush(_:)``, or has librabbitmq send it.
    ///
    /// - Throws: ``SendError``.
    mutating func send(_ method: OutboundMethod, channel: UInt16) throws(SendError) {
        if let failsSend, failsSend() { throw .connectionLost(AMQPError(.connectionLost, "A test's failure.")) }
        defer { arena.reset() }
        switch method {
        case .connectionClose:
            let text = unsafe arena.bytes("done")
            var fields = unsafe amqp_connection_close_t(reply_code: 200, reply_text: text, class_id: 0, method_id: 0)
            try unsafe send(warren_connection_close, channel: channel, &fields)
        case .connectionCloseOk:
            var fields = amqp_connection_close_ok_t()
            try send(warren_connection_close_ok, channel: channel, &fields)
        case .updateSecret(let credentials): try sendSecret(of: credentials, channel: channel)
        case .channelOpen:
            var fields = unsafe amqp_channel_open_t(out_of_band: arena.bytes(""))
            try unsafe send(warren_channel_open, channel: channel, &fields)
        case .channelFlowOk(let active):
            var fields = amqp_channel_flow_ok_t(active: active ? 1 : 0)
            try send(warren_channel_flow_ok, channel: channel, &fields)
        case .channelClose:
            let text = unsafe arena.bytes("done")
            var fields = unsafe amqp_channel_close_t(reply_code: 200, reply_text: text, class_id: 0, method_id: 0)
            try unsafe send(warren_channel_close, channel: channel, &fields)
        case .channelCloseOk:
            var fields = amqp_channel_close_ok_t()
            try send(warren_channel_close_ok, channel: channel, &fields)
        case .declareExchange(let exchange, let passive):
            var fields = unsafe amqp_exchange_declare_t()
            unsafe fields.exchange = arena.bytes(exchange.name)
            unsafe fields.type = arena.bytes(exchange.kind.rawValue)
            unsafe fields.passive = passive ? 1 : 0
            unsafe fields.durable = exchange.isDurable ? 1 : 0
            unsafe fields.auto_delete = exchange.isAutoDelete ? 1 : 0
            unsafe fields.`internal` = exchange.isInternal ? 1 : 0
            unsafe fields.arguments = arena.table(exchange.arguments)
            try unsafe send(warren_exchange_declare, channel: channel, &fields)
        case .deleteExchange(let name, let ifUnused):
            var fields = unsafe amqp_exchange_delete_t()
            unsafe fields.exchange = arena.bytes(name)
            unsafe fields.if_unused = ifUnused ? 1 : 0
            try unsafe send(warren_exchange_delete, channel: channel, &fields)
        case .declareQueue(let queue, let passive):
            var fields = unsafe amqp_queue_declare_t()
            unsafe fields.queue = arena.bytes(queue.name)
            unsafe fields.passive = passive ? 1 : 0
            unsafe fields.durable = queue.isDurable ? 1 : 0
            unsafe fields.exclusive = queue.isExclusive ? 1 : 0
            unsafe fields.auto_delete = queue.isAutoDelete ? 1 : 0
            unsafe fields.arguments = arena.table(queue.arguments.arguments)
            try unsafe send(warren_queue_declare, channel: channel, &fields)
        case .bind(let binding):
            try sendBind(binding, channel: channel)
        case .unbind(let binding):
            try sendUnbind(binding, channel: channel)
        case .deleteQueue(let name, let ifUnused, let ifEmpty):
            var fields = unsafe amqp_queue_delete_t()
            unsafe fields.queue = arena.bytes(name)
            unsafe fields.if_unused = ifUnused ? 1 : 0
            unsafe fields.if_empty = ifEmpty ? 1 : 0
            try unsafe send(warren_queue_delete, channel: channel, &fields)
        case .purgeQueue(let name):
            var fields = unsafe amqp_queue_purge_t()
            unsafe fields.queue = arena.bytes(name)
            try unsafe send(warren_queue_purge, channel: channel, &fields)
        case .qos(let prefetch):
            var fields = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: 0)
            try send(warren_basic_qos, channel: channel, &fields)
        case .consume(let queue, let options):
            var fields = unsafe amqp_basic_consume_t()
            unsafe fields.queue = arena.bytes(queue)
            unsafe fields.consumer_tag = arena.bytes(options.consumerTag)
            unsafe fields.no_ack = options.isAutomaticallyAcknowledged ? 1 : 0
            unsafe fields.exclusive = options.isExclusive ? 1 : 0
            unsafe fields.arguments = arena.table(options.arguments)
            try unsafe send(warren_basic_consume, channel: channel, &fields)
        case .cancel(let consumerTag):
            var fields = unsafe amqp_basic_cancel_t(consumer_tag: arena.bytes(consumerTag), nowait: 0)
            try unsafe send(warren_basic_cancel, channel: channel, &fields)
        case .cancelOk(let consumerTag):
            var fields = unsafe amqp_basic_cancel_ok_t(consumer_tag: arena.bytes(consumerTag))
            try unsafe send(warren_basic_cancel_ok, channel: channel, &fields)
        case .confirmSelect:
            var fields = amqp_confirm_select_t(nowait: 0)
            try send(warren_confirm_select, channel: channel, &fields)
        case .get(let queue):
            var fields = unsafe amqp_basic_get_t()
            unsafe fields.queue = arena.bytes(queue)
            try unsafe send(warren_basic_get, channel: channel, &fields)
        case .ack(let tag, let multiple):
            var fields = amqp_basic_ack_t(delivery_tag: tag, multiple: multiple ? 1 : 0)
            try send(warren_basic_ack, channel: channel, &fields)
        case .nack(let tag, let multiple, let requeue):
            var fields = amqp_basic_nack_t(delivery_tag: tag, multiple: multiple ? 1 : 0, requeue: requeue ? 1 : 0)
            try send(warren_basic_nack, channel: channel, &fields)
        case .reject(let tag, let requeue):
            var fields = amqp_basic_reject_t(delivery_tag: tag, requeue: requeue ? 1 : 0)
            try send(warren_basic_reject, channel: channel, &fields)
        }
    }

    /// Encodes a message for ``flush(_:)``, or has librabbitmq send it.
    ///
    /// - Throws: ``SendError``.
    mutating func publish(_ publish: PendingPublish, channel: UInt16) throws(SendError) {
        defer { arena.reset() }
        var method = unsafe amqp_basic_publish_t()
        unsafe method.exchange = arena.bytes(publish.destination.exchange)
        unsafe method.routing_key = arena.bytes(publish.destination.routingKey)
        unsafe method.mandatory = publish.mandatory ? 1 : 0
        do throws(EncodingFailure) {
            if mayBlock {
                // librabbitmq would notice only after it had sent the method, and then the connection would be useless.
                try outbound.checkHeader(publish.properties)
            } else {
                return try unsafe outbound.append(
                    &method,
                    properties: publish.properties,
                    body: publish.message.body,
                    channel: channel
                )
            }
        } catch {
            throw .unencodable(error)
        }
        try unsafe publishByLibrary(method, publish, channel)
    }

    private mutating func publishByLibrary(
        _ method: amqp_basic_publish_t,
        _ publish: PendingPublish,
        _ channel: UInt16
    ) throws(SendError) {
        var pool = unsafe amqp_pool_t()
        unsafe init_amqp_pool(&pool, 4096)
        defer { unsafe empty_amqp_pool(&pool) }
        var decoded: UnsafeMutableRawPointer?
        let properties = unsafe arena.bytes(publish.properties)
        let decoding = unsafe amqp_decode_properties(UInt16(AMQP_BASIC_CLASS), &pool, properties, &decoded)
        guard decoding >= 0 else { throw .unencodable(EncodingFailure(status: decoding)) }
        let status = unsafe publish.message.body.withUnsafeBytes { body in
            // The library only reads the body, although the parameter's type is mutable.
            let bytes = unsafe amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            return unsafe amqp_basic_publish(
                state,
                channel,
                method.exchange,
                method.routing_key,
                method.mandatory,
                0,
                decoded?.assumingMemoryBound(to: amqp_basic_properties_t.self),
                bytes
            )
        }
        try checkSent(status)
    }

    /// Encodes `connection.update-secret`.
    ///
    /// Source: <https://www.rabbitmq.com/amqp-0-9-1-reference#connection.update-secret>.
    private mutating func sendSecret(of credentials: Credentials, channel: UInt16) throws(SendError) {
        guard canUpdateSecret, let secret = credentials.userAndPassword?.password else {
            throw .unencodable(EncodingFailure(status: AMQP_STATUS_UNKNOWN_METHOD.rawValue))
        }
        let arguments: [UInt8]
        do throws(AMQPError) {
            var writer = WireWriter(capacity: secret.utf8.count + 32)
            try writer.write(longString: secret.utf8)
            try writer.write(shortString: "renewed by the client")
            arguments = writer.bytes
        } catch {
            throw .unencodable(EncodingFailure(status: AMQP_STATUS_BAD_AMQP_DATA.rawValue))
        }
        do throws(EncodingFailure) {
            try outbound.append(warren_connection_update_secret, arguments: arguments, channel: channel)
        } catch {
            throw .unencodable(error)
        }
    }

    private mutating func sendBind(_ binding: Binding, channel: UInt16) throws(SendError) {
        switch binding.target {
        case .queue(let queue):
            var fields = unsafe amqp_queue_bind_t()
            unsafe fields.queue = arena.bytes(queue)
            unsafe fields.exchange = arena.bytes(binding.source)
            unsafe fields.routing_key = arena.bytes(binding.routingKey)
            unsafe fields.arguments = arena.table(binding.arguments)
            try unsafe send(warren_queue_bind, channel: channel, &fields)
        case .exchange(let exchange):
            var fields = unsafe amqp_exchange_bind_t()
            unsafe fields.destination = arena.bytes(exchange)
            unsafe fields.source = arena.bytes(binding.source)
            unsafe fields.routing_key = arena.bytes(binding.routingKey)
            unsafe fields.arguments = arena.table(binding.arguments)
            try unsafe send(warren_exchange_bind, channel: channel, &fields)
        }
    }

    private mutating func sendUnbind(_ binding: Binding, channel: UInt16) throws(SendError) {
        switch binding.target {
        case .queue(let queue):
            var fields = unsafe amqp_queue_unbind_t()
            unsafe fields.queue = arena.bytes(queue)
            unsafe fields.exchange = arena.bytes(binding.source)
            unsafe fields.routing_key = arena.bytes(binding.routingKey)
            unsafe fields.arguments = arena.table(binding.arguments)
            try unsafe send(warren_queue_unbind, channel: channel, &fields)
        case .exchange(let exchange):
            var fields = unsafe amqp_exchange_unbind_t()
            unsafe fields.destination = arena.bytes(exchange)
            unsafe fields.source = arena.bytes(binding.source)
            unsafe fields.routing_key = arena.bytes(binding.routingKey)
            unsafe fields.arguments = arena.table(binding.arguments)
            try unsafe send(warren_exchange_unbind, channel: channel, &fields)
        }
    }

    private mutating func send<Fields>(
        _ method: amqp_method_number_t,
        channel: UInt16,
        _ fields: inout Fields
    ) throws(SendError) {
        if mayBlock {
            let status = unsafe withUnsafeMutablePointer(to: &fields) { fields in
                unsafe amqp_send_method(state, channel, method, fields)
            }
            // librabbitmq encodes a method before it sends the first byte of it.
            let refusals = [AMQP_STATUS_BAD_AMQP_DATA, AMQP_STATUS_TABLE_TOO_BIG, AMQP_STATUS_INVALID_PARAMETER]
            if refusals.contains(where: { $0.rawValue == status }) {
                throw .unencodable(EncodingFailure(status: status))
            }
            return try checkSent(status)
        }
        do throws(EncodingFailure) {
            try outbound.append(method, channel: channel, &fields)
        } catch {
            throw .unencodable(error)
        }
    }

    private func checkSent(_ status: Int32) throws(SendError) {
        do throws(AMQPError) {
            try check(status, "The connection was lost while sending")
        } catch {
            throw .connectionLost(error)
        }
    }
}

/// The failure to send a method or message.
enum SendError: Error {
    /// AMQP can't express it: nothing was sent, and the connection is intact.
    case unencodable(EncodingFailure)
    /// Part of it may have been sent: the connection must be dropped.
    case connectionLost(AMQPError)
}
