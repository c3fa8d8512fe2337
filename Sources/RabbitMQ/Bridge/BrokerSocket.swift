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
    private var arena = EncodingArena()

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

    // MARK: Sending

    /// Sends a method.
    ///
    /// After an error the connection must be dropped: what was sent of it is unknown.
    mutating func send(_ method: OutboundMethod, channel: UInt16) throws(AMQPError) {
        defer { arena.reset() }
        switch method {
        case .connectionClose:
            let text = unsafe arena.bytes("done")
            var fields = unsafe amqp_connection_close_t(reply_code: 200, reply_text: text, class_id: 0, method_id: 0)
            try unsafe send(warren_connection_close, channel: channel, &fields)
        case .connectionCloseOk:
            var fields = amqp_connection_close_ok_t()
            try send(warren_connection_close_ok, channel: channel, &fields)
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
        case .deleteExchange(let name):
            var fields = unsafe amqp_exchange_delete_t()
            unsafe fields.exchange = arena.bytes(name)
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
        case .deleteQueue(let name):
            var fields = unsafe amqp_queue_delete_t()
            unsafe fields.queue = arena.bytes(name)
            try unsafe send(warren_queue_delete, channel: channel, &fields)
        case .purgeQueue(let name):
            var fields = unsafe amqp_queue_purge_t()
            unsafe fields.queue = arena.bytes(name)
            try unsafe send(warren_queue_purge, channel: channel, &fields)
        case .qos(let prefetch):
            var fields = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: 0)
            try send(warren_basic_qos, channel: channel, &fields)
        case .consume(let queue, let consumerTag, let arguments):
            var fields = unsafe amqp_basic_consume_t()
            unsafe fields.queue = arena.bytes(queue)
            unsafe fields.consumer_tag = arena.bytes(consumerTag)
            unsafe fields.arguments = arena.table(arguments)
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

    /// Sends a message: a method, a header and a body in frames.
    ///
    /// After an error the connection must be dropped.
    mutating func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool,
        channel: UInt16
    ) throws(AMQPError) {
        defer { arena.reset() }
        var properties = unsafe arena.properties(message.properties)
        let exchange = unsafe arena.bytes(destination.exchange)
        let routingKey = unsafe arena.bytes(destination.routingKey)
        let status = unsafe message.body.withUnsafeBytes { body in
            // The library only reads the body, though its type says otherwise.
            let bytes = unsafe amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            return unsafe amqp_basic_publish(
                state,
                channel,
                exchange,
                routingKey,
                mandatory ? 1 : 0,
                0,
                &properties,
                bytes
            )
        }
        try check(status, "A message to \(destination) could not be sent")
    }

    private mutating func sendBind(_ binding: Binding, channel: UInt16) throws(AMQPError) {
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

    private mutating func sendUnbind(_ binding: Binding, channel: UInt16) throws(AMQPError) {
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

    private func send<Fields>(
        _ method: amqp_method_number_t,
        channel: UInt16,
        _ fields: inout Fields
    ) throws(AMQPError) {
        let status = unsafe withUnsafeMutablePointer(to: &fields) { fields in
            unsafe amqp_send_method(state, channel, method, fields)
        }
        try check(status, "A method could not be sent")
    }
}
