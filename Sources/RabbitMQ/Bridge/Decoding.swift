import AMQP
import CRabbitMQ

// Deep copies of what librabbitmq decoded. Its memory belongs to the library and goes at the next release, so nothing here keeps a
// pointer.

extension String {
    /// Text from librabbitmq's bytes.
    ///
    /// Octets that aren't UTF-8 become replacement characters.
    init(copying bytes: amqp_bytes_t) {
        guard let start = unsafe bytes.bytes, unsafe bytes.len > 0 else {
            self = ""
            return
        }
        self = unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: bytes.len), as: UTF8.self)
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
    init(copying source: UnsafePointer<amqp_basic_properties_t>) {
        self.init()
        let flags = unsafe Int32(bitPattern: source.pointee._flags)
        func isSet(_ flag: Int32) -> Bool { flags & flag != 0 }
        if isSet(AMQP_BASIC_CONTENT_TYPE_FLAG) { contentType = unsafe String(copying: source.pointee.content_type) }
        if isSet(AMQP_BASIC_CONTENT_ENCODING_FLAG) {
            contentEncoding = unsafe String(copying: source.pointee.content_encoding)
        }
        if isSet(AMQP_BASIC_HEADERS_FLAG) { headers = unsafe FieldTable(copyingHeaders: source.pointee.headers) }
        if isSet(AMQP_BASIC_DELIVERY_MODE_FLAG) {
            deliveryMode = unsafe DeliveryMode(rawValue: source.pointee.delivery_mode)
        }
        if isSet(AMQP_BASIC_PRIORITY_FLAG) { priority = unsafe source.pointee.priority }
        if isSet(AMQP_BASIC_CORRELATION_ID_FLAG) {
            correlationID = unsafe String(copying: source.pointee.correlation_id)
        }
        if isSet(AMQP_BASIC_REPLY_TO_FLAG) { replyTo = unsafe String(copying: source.pointee.reply_to) }
        if isSet(AMQP_BASIC_EXPIRATION_FLAG) { expiration = unsafe String(copying: source.pointee.expiration) }
        if isSet(AMQP_BASIC_MESSAGE_ID_FLAG) { messageID = unsafe String(copying: source.pointee.message_id) }
        if isSet(AMQP_BASIC_TIMESTAMP_FLAG) { timestamp = unsafe source.pointee.timestamp }
        if isSet(AMQP_BASIC_TYPE_FLAG) { type = unsafe String(copying: source.pointee.type) }
        if isSet(AMQP_BASIC_USER_ID_FLAG) { userID = unsafe String(copying: source.pointee.user_id) }
        if isSet(AMQP_BASIC_APP_ID_FLAG) { appID = unsafe String(copying: source.pointee.app_id) }
    }
}
