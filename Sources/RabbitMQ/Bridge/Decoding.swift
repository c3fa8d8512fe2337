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

extension FieldTable {
    /// A copy of librabbitmq's table.
    init(copying table: amqp_table_t) {
        self.init(minimumCapacity: unsafe Int(table.num_entries))
        guard let entries = unsafe table.entries else { return }
        for index in unsafe 0..<Int(table.num_entries) {
            let entry = unsafe entries[index]
            unsafe append(FieldValue(copying: entry.value), uniqueName: String(copying: entry.key))
        }
    }
}

extension FieldValue {
    /// A copy of librabbitmq's value.
    ///
    /// A type it doesn't know can't come here: the library refuses the frame.
    init(copying field: amqp_field_value_t) {
        let value = unsafe field.value
        switch unsafe field.kind {
        case UInt8(ascii: "t"): self = unsafe .bool(value.boolean != 0)
        case UInt8(ascii: "b"): self = unsafe .int8(value.i8)
        case UInt8(ascii: "B"): self = unsafe .uint8(value.u8)
        case UInt8(ascii: "s"): self = unsafe .int16(value.i16)
        case UInt8(ascii: "u"): self = unsafe .uint16(value.u16)
        case UInt8(ascii: "I"): self = unsafe .int32(value.i32)
        case UInt8(ascii: "i"): self = unsafe .uint32(value.u32)
        case UInt8(ascii: "l"), UInt8(ascii: "L"): self = unsafe .int64(value.i64)
        case UInt8(ascii: "f"): self = unsafe .float(value.f32)
        case UInt8(ascii: "d"): self = unsafe .double(value.f64)
        case UInt8(ascii: "D"):
            self = unsafe .decimal(FieldDecimal(scale: value.decimal.decimals, value: value.decimal.value))
        case UInt8(ascii: "S"):
            self =
                unsafe String(validating: value.bytes).map(FieldValue.string) ?? .bytes([UInt8](copying: value.bytes))
        case UInt8(ascii: "x"): self = unsafe .bytes([UInt8](copying: value.bytes))
        case UInt8(ascii: "T"): self = unsafe .timestamp(value.u64)
        case UInt8(ascii: "F"): self = unsafe .table(FieldTable(copying: value.table))
        case UInt8(ascii: "A"):
            let array = unsafe value.array
            self = .array(
                unsafe (0..<Int(array.num_entries)).compactMap { index in
                    unsafe array.entries.map { unsafe FieldValue(copying: $0[index]) }
                }
            )
        default: self = .void
        }
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
        if isSet(AMQP_BASIC_HEADERS_FLAG) { headers = unsafe FieldTable(copying: source.pointee.headers) }
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
