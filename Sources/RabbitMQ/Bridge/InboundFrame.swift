import AMQP
import CRabbitMQ

/// A frame from the broker, copied out of librabbitmq's memory.
enum InboundFrame: Sendable, Equatable {
    case method(InboundMethod)
    case header(bodySize: Int, BasicProperties)
    case body([UInt8])
}

/// A method that the broker sends to a client after log-in.
enum InboundMethod: Sendable, Equatable {
    /// The broker closes the connection, because of a method of this client's or, if `method` is 0, of none.
    case connectionClose(BrokerReply, method: UInt32)
    case connectionCloseOk
    case updateSecretOk
    case blocked(reason: String)
    case unblocked
    case channelOpenOk
    case channelFlow(active: Bool)
    /// The broker closes a channel, because of a method of this client's or, if `method` is 0, of none.
    case channelClose(BrokerReply, method: UInt32)
    case channelCloseOk
    case exchangeDeclareOk
    case exchangeDeleteOk
    case exchangeBindOk
    case exchangeUnbindOk
    case queueDeclareOk(QueueStatus)
    case queueBindOk
    case queueUnbindOk
    case queueDeleteOk(messageCount: Int)
    case queuePurgeOk(messageCount: Int)
    case qosOk
    case consumeOk(consumerTag: String)
    case cancelOk(consumerTag: String)
    /// The broker ends a consumer; RabbitMQ before 4.3 expects no answer.
    case cancel(consumerTag: String, mustAnswer: Bool)
    case confirmSelectOk
    case getEmpty
    case ack(tag: UInt64, multiple: Bool)
    case nack(tag: UInt64, multiple: Bool)
    /// The beginning of a message, followed by a header frame and body frames on the same channel.
    case content(ContentStart)
    /// A method that this client doesn't use.
    case other(id: UInt32)

    /// The number of `basic.publish`, by which the broker names a publish as the cause of a close.
    static var publishNumber: UInt32 { warren_basic_publish }
}

extension OutboundMethod {
    /// The number of `connection.update-secret`, by which the broker names a new secret as the cause of a close.
    static var updateSecretNumber: UInt32 { warren_connection_update_secret }

    /// The method's class and id in one number, by which the broker names it as the cause of a close; 0 for the methods
    /// that cause none.
    var number: UInt32 {
        switch self {
        case .declareExchange: warren_exchange_declare
        case .deleteExchange: warren_exchange_delete
        case .declareQueue: warren_queue_declare
        case .bind(let binding): binding.target.isQueue ? warren_queue_bind : warren_exchange_bind
        case .unbind(let binding): binding.target.isQueue ? warren_queue_unbind : warren_exchange_unbind
        case .deleteQueue: warren_queue_delete
        case .purgeQueue: warren_queue_purge
        case .consume: warren_basic_consume
        case .get: warren_basic_get
        default: 0
        }
    }
}

extension Binding.Target {
    fileprivate var isQueue: Bool { if case .queue = self { true } else { false } }
}

/// The method that begins a message.
enum ContentStart: Sendable, Equatable {
    case delivery(tag: UInt64, isRedelivered: Bool, Destination)
    case get(tag: UInt64, isRedelivered: Bool, Destination)
    case returned(BrokerReply, Destination)
}

// MARK: Copying

// Deep copies of librabbitmq's decoded data. Its memory belongs to the library, which reuses it after the next release,
// so nothing here keeps a pointer.

extension InboundFrame {
    /// A copy of librabbitmq's frame; `nil` for a type of frame that this client doesn't use.
    init?(copying frame: amqp_frame_t) {
        switch unsafe Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            self = unsafe .method(InboundMethod(copying: frame.payload.method))
        case AMQP_FRAME_HEADER:
            // librabbitmq decodes the properties of other classes as smaller types.
            guard unsafe Int32(frame.payload.properties.class_id) == AMQP_BASIC_CLASS,
                let decoded = unsafe frame.payload.properties.decoded
            else { return nil }
            self = unsafe .header(
                bodySize: Int(clamping: frame.payload.properties.body_size),
                BasicProperties(
                    copying: decoded.assumingMemoryBound(to: amqp_basic_properties_t.self),
                    from: frame.payload.properties.raw
                )
            )
        case AMQP_FRAME_BODY:
            self = unsafe .body([UInt8](copying: frame.payload.body_fragment))
        default:
            return nil
        }
    }
}

extension BrokerReply {
    fileprivate init(code: UInt16, copying text: amqp_bytes_t) {
        self.init(code: code, text: unsafe String(copying: text))
    }
}

extension Destination {
    fileprivate init(copying exchange: amqp_bytes_t, _ routingKey: amqp_bytes_t) {
        self.init(exchange: unsafe String(copying: exchange), routingKey: unsafe String(copying: routingKey))
    }
}

extension InboundMethod {
    /// A copy of librabbitmq's method.
    ///
    /// Each method id stands for exactly one C type, which proves each cast.
    init(copying method: amqp_method_t) {
        let decoded = unsafe method.decoded
        func fields<Fields>(_ type: Fields.Type) -> Fields? {
            unsafe decoded?.assumingMemoryBound(to: type).pointee
        }
        self = unsafe .other(id: method.id)
        switch unsafe method.id {
        case warren_basic_deliver:
            guard let fields = unsafe fields(amqp_basic_deliver_t.self) else { return }
            self = unsafe .content(
                .delivery(
                    tag: fields.delivery_tag,
                    isRedelivered: fields.redelivered != 0,
                    Destination(copying: fields.exchange, fields.routing_key)
                )
            )
        case warren_basic_ack:
            guard let fields = fields(amqp_basic_ack_t.self) else { return }
            self = .ack(tag: fields.delivery_tag, multiple: fields.multiple != 0)
        case warren_basic_nack:
            guard let fields = fields(amqp_basic_nack_t.self) else { return }
            self = .nack(tag: fields.delivery_tag, multiple: fields.multiple != 0)
        case warren_basic_return:
            guard let fields = unsafe fields(amqp_basic_return_t.self) else { return }
            self = unsafe .content(
                .returned(
                    BrokerReply(code: fields.reply_code, copying: fields.reply_text),
                    Destination(copying: fields.exchange, fields.routing_key)
                )
            )
        case warren_basic_get_ok:
            guard let fields = unsafe fields(amqp_basic_get_ok_t.self) else { return }
            self = unsafe .content(
                .get(
                    tag: fields.delivery_tag,
                    isRedelivered: fields.redelivered != 0,
                    Destination(copying: fields.exchange, fields.routing_key)
                )
            )
        case warren_basic_get_empty: self = .getEmpty
        case warren_basic_consume_ok:
            guard let fields = unsafe fields(amqp_basic_consume_ok_t.self) else { return }
            self = unsafe .consumeOk(consumerTag: String(copying: fields.consumer_tag))
        case warren_basic_cancel:
            guard let fields = unsafe fields(amqp_basic_cancel_t.self) else { return }
            self = unsafe .cancel(consumerTag: String(copying: fields.consumer_tag), mustAnswer: fields.nowait == 0)
        case warren_basic_cancel_ok:
            guard let fields = unsafe fields(amqp_basic_cancel_ok_t.self) else { return }
            self = unsafe .cancelOk(consumerTag: String(copying: fields.consumer_tag))
        case warren_basic_qos_ok: self = .qosOk
        case warren_confirm_select_ok: self = .confirmSelectOk
        case warren_queue_declare_ok:
            guard let fields = unsafe fields(amqp_queue_declare_ok_t.self) else { return }
            self = unsafe .queueDeclareOk(
                QueueStatus(
                    name: String(copying: fields.queue),
                    messageCount: Int(fields.message_count),
                    consumerCount: Int(fields.consumer_count)
                )
            )
        case warren_queue_bind_ok: self = .queueBindOk
        case warren_queue_unbind_ok: self = .queueUnbindOk
        case warren_queue_delete_ok:
            guard let fields = fields(amqp_queue_delete_ok_t.self) else { return }
            self = .queueDeleteOk(messageCount: Int(fields.message_count))
        case warren_queue_purge_ok:
            guard let fields = fields(amqp_queue_purge_ok_t.self) else { return }
            self = .queuePurgeOk(messageCount: Int(fields.message_count))
        case warren_exchange_declare_ok: self = .exchangeDeclareOk
        case warren_exchange_delete_ok: self = .exchangeDeleteOk
        case warren_exchange_bind_ok: self = .exchangeBindOk
        case warren_exchange_unbind_ok: self = .exchangeUnbindOk
        case warren_channel_open_ok: self = .channelOpenOk
        case warren_channel_close_ok: self = .channelCloseOk
        case warren_channel_flow:
            guard let fields = fields(amqp_channel_flow_t.self) else { return }
            self = .channelFlow(active: fields.active != 0)
        case warren_channel_close:
            guard let fields = unsafe fields(amqp_channel_close_t.self) else { return }
            self = unsafe .channelClose(
                BrokerReply(code: fields.reply_code, copying: fields.reply_text),
                method: UInt32(fields.class_id) << 16 | UInt32(fields.method_id)
            )
        case warren_connection_close:
            guard let fields = unsafe fields(amqp_connection_close_t.self) else { return }
            self = unsafe .connectionClose(
                BrokerReply(code: fields.reply_code, copying: fields.reply_text),
                method: UInt32(fields.class_id) << 16 | UInt32(fields.method_id)
            )
        case warren_connection_close_ok: self = .connectionCloseOk
        case warren_connection_update_secret_ok: self = .updateSecretOk
        case warren_connection_blocked:
            guard let fields = unsafe fields(amqp_connection_blocked_t.self) else { return }
            self = unsafe .blocked(reason: String(copying: fields.reason))
        case warren_connection_unblocked: self = .unblocked
        default: break
        }
    }
}

extension String {
    /// Text from librabbitmq's bytes.
    ///
    /// Bytes that aren't UTF-8 become replacement characters.
    init(copying bytes: amqp_bytes_t) {
        guard let start = unsafe bytes.bytes, unsafe bytes.len > 0 else {
            self = ""
            return
        }
        self = unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: bytes.len), as: UTF8.self)
    }

    /// Text from librabbitmq's bytes, without memory for it if it is likely to be, and is, the same as another.
    init(copying bytes: amqp_bytes_t, orSharing other: String) {
        let isEqual =
            unsafe bytes.len > 0 && bytes.len == other.utf8.count
            && other.utf8.elementsEqual(UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len))
        self = unsafe isEqual ? other : String(copying: bytes)
    }

    /// Text from librabbitmq's bytes, if they are UTF-8.
    init?(validating bytes: amqp_bytes_t) {
        guard let start = unsafe bytes.bytes, unsafe bytes.len > 0 else {
            self = ""
            return
        }
        guard
            let text = unsafe String(
                validating: UnsafeRawBufferPointer(start: start, count: bytes.len),
                as: UTF8.self
            )
        else { return nil }
        self = text
    }
}

extension [UInt8] {
    /// A copy of librabbitmq's bytes.
    init(copying bytes: amqp_bytes_t) {
        guard let start = unsafe bytes.bytes else {
            self = []
            return
        }
        self = unsafe Array(UnsafeRawBufferPointer(start: start, count: bytes.len))
    }
}

extension BasicProperties {
    /// A copy of librabbitmq's properties.
    ///
    /// - Parameters:
    ///   - source: The properties.
    ///   - raw: The bytes from which librabbitmq decoded them.
    fileprivate init(copying source: UnsafePointer<amqp_basic_properties_t>, from raw: amqp_bytes_t) {
        var values = BasicProperties.Values()
        let flags = unsafe Int32(bitPattern: source.pointee._flags)
        func isSet(_ flag: Int32) -> Bool { flags & flag != 0 }
        if isSet(AMQP_BASIC_CONTENT_TYPE_FLAG) {
            values.contentType = unsafe String(copying: source.pointee.content_type, orSharing: Self.json)
        }
        if isSet(AMQP_BASIC_CONTENT_ENCODING_FLAG) {
            values.contentEncoding = unsafe String(copying: source.pointee.content_encoding)
        }
        if isSet(AMQP_BASIC_HEADERS_FLAG) {
            values.headers = unsafe FieldTable(copyingHeaders: source.pointee, from: raw)
        }
        if isSet(AMQP_BASIC_DELIVERY_MODE_FLAG) {
            values.deliveryMode = unsafe DeliveryMode(rawValue: source.pointee.delivery_mode)
        }
        if isSet(AMQP_BASIC_PRIORITY_FLAG) { values.priority = unsafe source.pointee.priority }
        if isSet(AMQP_BASIC_CORRELATION_ID_FLAG) {
            values.correlationID = unsafe String(copying: source.pointee.correlation_id)
        }
        if isSet(AMQP_BASIC_REPLY_TO_FLAG) { values.replyTo = unsafe String(copying: source.pointee.reply_to) }
        if isSet(AMQP_BASIC_EXPIRATION_FLAG) { values.expiration = unsafe String(copying: source.pointee.expiration) }
        if isSet(AMQP_BASIC_MESSAGE_ID_FLAG) {
            // Celery's clients and Warren send the same id twice.
            values.messageID = unsafe String(copying: source.pointee.message_id, orSharing: values.correlationID ?? "")
        }
        if isSet(AMQP_BASIC_TIMESTAMP_FLAG) { values.timestamp = unsafe source.pointee.timestamp }
        if isSet(AMQP_BASIC_TYPE_FLAG) { values.type = unsafe String(copying: source.pointee.type) }
        if isSet(AMQP_BASIC_USER_ID_FLAG) { values.userID = unsafe String(copying: source.pointee.user_id) }
        if isSet(AMQP_BASIC_APP_ID_FLAG) { values.appID = unsafe String(copying: source.pointee.app_id) }
        self.init(values)
    }

    private static let json = "application/json"
}
