import AMQP
import CRabbitMQ

extension FieldTable {
    /// A copy of librabbitmq's table; what exceeds `limits` is left out.
    init(copying table: amqp_table_t, limits: WireLimits = .standard) {
        var copying = Copying(remaining: limits)
        self = unsafe copying.topLevel(table)
    }

    /// A copy of a message's headers, which holds ``omittedHeaders`` if something was left out.
    init(copyingHeaders table: amqp_table_t, limits: WireLimits = .standard) {
        var copying = Copying(remaining: limits)
        self = unsafe copying.topLevel(table)
        if let reason = copying.omission { self[FieldTable.omittedHeaders] = .string(reason) }
    }
}

/// Copies tables within limits.
///
/// librabbitmq has decoded whatever fits into a frame, at any depth, on the connection's thread, whose stack is made for it. All
/// code behind the copy may rely on the limits.
private struct Copying {
    /// What is left of the limits.
    var remaining: WireLimits
    /// Why something was left out.
    var omission: String?

    private struct LimitExceeded: Error {
        let reason: String
    }

    /// Copies the entries that keep to the limits.
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

    /// Copies what is inside of a table or array, one level further down.
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

    /// A type that librabbitmq doesn't know can't come here: it refuses the frame.
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
