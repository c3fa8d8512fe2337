import AMQP
import CRabbitMQ

extension FieldTable {
    /// A copy of librabbitmq's table, without the values that exceed `limits`.
    init(copying table: amqp_table_t, limits: WireLimits = .standard) {
        var copying = Copying(remaining: limits)
        self = unsafe copying.topLevel(table)
    }

    /// The headers of a message, which contain ``omittedHeaders`` if something was left out.
    ///
    /// They stay as they are on the wire until somebody reads them. Unusual ones are copied from librabbitmq's.
    ///
    /// - Parameters:
    ///   - properties: The message's properties, which have headers.
    ///   - raw: The bytes from which librabbitmq decoded them.
    init(copyingHeaders properties: amqp_basic_properties_t, from raw: amqp_bytes_t) {
        if let entries = unsafe Self.entries(of: properties, in: raw), let table = FieldTable(entries: entries) {
            self = table
        } else {
            self = unsafe FieldTable(copyingHeaders: properties.headers)
        }
    }

    /// The headers' entries: behind the two bytes of flags, the content type and the content encoding.
    private static func entries(of properties: amqp_basic_properties_t, in raw: amqp_bytes_t) -> [UInt8]? {
        let bytes = unsafe UnsafeRawBufferPointer(start: raw.bytes, count: raw.len)
        let flags = unsafe Int32(bitPattern: properties._flags)
        var start = 2
        if flags & AMQP_BASIC_CONTENT_TYPE_FLAG != 0 { unsafe start += 1 + properties.content_type.len }
        if flags & AMQP_BASIC_CONTENT_ENCODING_FLAG != 0 { unsafe start += 1 + properties.content_encoding.len }
        // The lowest bit announces more flags, which nobody sends.
        guard start + 4 <= bytes.count, unsafe bytes[1] & 1 == 0 else { return nil }
        let length = unsafe Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
        guard length <= bytes.count - start - 4 else { return nil }
        return unsafe Array(bytes[(start + 4)..<(start + 4 + length)])
    }

    /// A copy of a message's headers, which contains ``omittedHeaders`` if something was left out.
    init(copyingHeaders table: amqp_table_t, limits: WireLimits = .standard) {
        var copying = Copying(remaining: limits)
        self = unsafe copying.topLevel(table)
        if let reason = copying.omission { self[FieldTable.omittedHeaders] = .string(reason) }
    }
}

/// A copy of tables within limits.
///
/// librabbitmq has decoded whatever fits into a frame, at any depth, on the connection's thread, whose stack is large
/// enough for it. All code behind the copy may rely on the limits.
private struct Copying {
    /// The part of the limits that isn't used up.
    var remaining: WireLimits
    /// The reason why something was left out.
    var omission: String?

    private struct LimitExceeded: Error {
        let reason: String
    }

    /// Copies the entries that are within the limits.
    mutating func topLevel(_ table: amqp_table_t) -> FieldTable {
        var copy = unsafe FieldTable(minimumCapacity: Swift.min(Int(table.num_entries), 32))
        guard let entries = unsafe table.entries else { return copy }
        var names = SeenNames()
        let depth = remaining.depth
        for index in unsafe 0..<Int(table.num_entries) {
            let name = unsafe String(copying: entries[index].key)
            do throws(LimitExceeded) {
                remaining.depth = depth - 1
                try count()
                let value = try unsafe value(entries[index].value)
                if names.isNew(name, in: copy) { copy.append(value, uniqueName: name) }
            } catch {
                if omission == nil { omission = "The header '\(name)' \(error.reason)." }
                if remaining.values == 0 { break }
            }
        }
        return copy
    }

    private mutating func count() throws(LimitExceeded) {
        guard remaining.values > 0 else {
            throw LimitExceeded(
                reason: "and those after it exceed the \(WireLimits.standard.values) values of a message"
            )
        }
        remaining.values -= 1
    }

    /// Copies the contents of a table or array, one level further down.
    private mutating func nested<Value>(
        _ copy: (inout Copying) throws(LimitExceeded) -> Value
    ) throws(LimitExceeded) -> Value {
        guard remaining.depth > 0 else {
            throw LimitExceeded(reason: "is nested more than \(WireLimits.standard.depth) levels deep")
        }
        remaining.depth -= 1
        let value = try copy(&self)
        remaining.depth += 1
        return value
    }

    private mutating func table(_ table: amqp_table_t) throws(LimitExceeded) -> FieldTable {
        var copy = unsafe FieldTable(minimumCapacity: Swift.min(Int(table.num_entries), 32))
        guard let entries = unsafe table.entries else { return copy }
        var names = SeenNames()
        for index in unsafe 0..<Int(table.num_entries) {
            try count()
            let name = unsafe String(copying: entries[index].key)
            let value = try unsafe value(entries[index].value)
            if names.isNew(name, in: copy) { copy.append(value, uniqueName: name) }
        }
        return copy
    }

    private mutating func array(_ array: amqp_array_t) throws(LimitExceeded) -> [FieldValue] {
        guard let entries = unsafe array.entries else { return [] }
        var elements: [FieldValue] = []
        for index in unsafe 0..<Int(array.num_entries) {
            try count()
            elements.append(try unsafe value(entries[index]))
        }
        return elements
    }

    /// Copies a value; its type is known, since librabbitmq refuses a frame with a type that it doesn't know.
    private mutating func value(_ field: amqp_field_value_t) throws(LimitExceeded) -> FieldValue {
        let value = unsafe field.value
        switch unsafe field.kind {
        case UInt8(ascii: "t"): return unsafe .bool(value.boolean != 0)
        case UInt8(ascii: "b"): return unsafe .int8(value.i8)
        case UInt8(ascii: "B"): return unsafe .uint8(value.u8)
        case UInt8(ascii: "s"): return unsafe .int16(value.i16)
        case UInt8(ascii: "u"): return unsafe .uint16(value.u16)
        case UInt8(ascii: "I"): return unsafe .int32(value.i32)
        case UInt8(ascii: "i"): return unsafe .uint32(value.u32)
        case UInt8(ascii: "l"), UInt8(ascii: "L"): return unsafe .int64(value.i64)
        case UInt8(ascii: "f"): return unsafe .float(value.f32)
        case UInt8(ascii: "d"): return unsafe .double(value.f64)
        case UInt8(ascii: "D"):
            return unsafe .decimal(FieldDecimal(scale: value.decimal.decimals, value: value.decimal.value))
        case UInt8(ascii: "S"):
            return unsafe String(validating: value.bytes).map(FieldValue.string)
                ?? .bytes([UInt8](copying: value.bytes))
        case UInt8(ascii: "x"): return unsafe .bytes([UInt8](copying: value.bytes))
        case UInt8(ascii: "T"): return unsafe .timestamp(value.u64)
        case UInt8(ascii: "F"):
            let table = unsafe value.table
            return .table(try nested { copying throws(LimitExceeded) in try unsafe copying.table(table) })
        case UInt8(ascii: "A"):
            let array = unsafe value.array
            return .array(try nested { copying throws(LimitExceeded) in try unsafe copying.array(array) })
        default: return .void
        }
    }
}
