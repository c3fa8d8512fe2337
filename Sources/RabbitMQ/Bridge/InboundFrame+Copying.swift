import AMQP
import CRabbitMQ

extension InboundFrame {
    /// A copy of what librabbitmq read; `nil` for a frame type that carries nothing for us.
    init?(copying frame: amqp_frame_t) {
        switch unsafe Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            self = unsafe .method(InboundMethod(copying: frame.payload.method))
        case AMQP_FRAME_HEADER:
            guard let decoded = unsafe frame.payload.properties.decoded else { return nil }
            self = unsafe .header(
                bodySize: Int(clamping: frame.payload.properties.body_size),
                BasicProperties(copying: decoded.assumingMemoryBound(to: amqp_basic_properties_t.self))
            )
        case AMQP_FRAME_BODY:
            self = unsafe .body([UInt8](copying: frame.payload.body_fragment))
        default:
            return nil
        }
    }
}

extension BrokerReply {
    init(code: UInt16, copying text: amqp_bytes_t) {
        self.init(code: code, text: unsafe String(copying: text))
    }
}

extension Destination {
    fileprivate init(copying exchange: amqp_bytes_t, _ routingKey: amqp_bytes_t) {
        self.init(exchange: unsafe String(copying: exchange), routingKey: unsafe String(copying: routingKey))
    }
}

extension InboundMethod {
    /// A copy of what librabbitmq decoded.
    ///
    /// Each method id stands for exactly one C type, which is the proof of each cast.
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
                    consumerTag: String(copying: fields.consumer_tag),
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
            self = unsafe .channelClose(BrokerReply(code: fields.reply_code, copying: fields.reply_text))
        case warren_connection_close:
            guard let fields = unsafe fields(amqp_connection_close_t.self) else { return }
            self = unsafe .connectionClose(BrokerReply(code: fields.reply_code, copying: fields.reply_text))
        case warren_connection_close_ok: self = .connectionCloseOk
        case warren_connection_blocked:
            guard let fields = unsafe fields(amqp_connection_blocked_t.self) else { return }
            self = unsafe .blocked(reason: String(copying: fields.reason))
        case warren_connection_unblocked: self = .unblocked
        default: break
        }
    }
}
