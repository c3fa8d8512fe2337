import AMQP
import CRabbitMQ

/// Memory for the data that one call of librabbitmq reads (strings, tables and their entries), freed together.
///
/// Blocks don't move until ``reset()``, so pointers into them are valid until then.
@safe struct EncodingArena: ~Copyable {
    private var blocks: [UnsafeMutableRawBufferPointer] = unsafe []
    private var current = 0
    private var used = 0

    private static let blockSize = 16 * 1024

    init() {
        unsafe blocks.append(.allocate(byteCount: Self.blockSize, alignment: 16))
    }

    deinit {
        for index in unsafe blocks.indices { unsafe blocks[index].deallocate() }
    }

    /// Discards everything that was encoded.
    ///
    /// Memory beyond the first block is returned to the system.
    mutating func reset() {
        while unsafe blocks.count > 1 { unsafe blocks.removeLast().deallocate() }
        current = 0
        used = 0
    }

    private mutating func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        guard byteCount > 0 else { return nil }
        if unsafe used + byteCount > blocks[current].count {
            unsafe blocks.append(.allocate(byteCount: max(byteCount, Self.blockSize), alignment: 16))
            current = unsafe blocks.count - 1
            used = 0
        }
        let start = unsafe blocks[current].baseAddress.map { unsafe $0 + used }
        used += (byteCount + 15) & ~15
        return unsafe start
    }

    /// Encodes a string as UTF-8 in librabbitmq's representation.
    mutating func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { utf8 in unsafe copy(UnsafeRawBufferPointer(utf8)) }
    }

    /// Encodes bytes in librabbitmq's representation.
    mutating func bytes(_ octets: [UInt8]) -> amqp_bytes_t {
        unsafe octets.withUnsafeBytes { octets in unsafe copy(octets) }
    }

    private mutating func copy(_ source: UnsafeRawBufferPointer) -> amqp_bytes_t {
        guard let target = unsafe allocate(source.count), let start = source.baseAddress else {
            return unsafe amqp_bytes_t(len: 0, bytes: nil)
        }
        unsafe target.copyMemory(from: start, byteCount: source.count)
        return unsafe amqp_bytes_t(len: source.count, bytes: target)
    }

    /// Encodes a field table in librabbitmq's representation.
    mutating func table(_ table: FieldTable) -> amqp_table_t {
        guard !table.isEmpty, let memory = unsafe allocate(table.count * MemoryLayout<amqp_table_entry_t>.stride) else {
            return unsafe amqp_table_t(num_entries: 0, entries: nil)
        }
        let entries = unsafe memory.bindMemory(to: amqp_table_entry_t.self, capacity: table.count)
        for (index, entry) in table.enumerated() {
            unsafe (entries + index).initialize(
                to: amqp_table_entry_t(key: bytes(entry.name), value: value(entry.value))
            )
        }
        return unsafe amqp_table_t(num_entries: Int32(table.count), entries: entries)
    }

    private mutating func value(_ value: FieldValue) -> amqp_field_value_t {
        var field = unsafe amqp_field_value_t()
        switch value {
        case .bool(let truth):
            unsafe field.kind = UInt8(ascii: "t")
            unsafe field.value.boolean = truth ? 1 : 0
        case .int8(let number):
            unsafe field.kind = UInt8(ascii: "b")
            unsafe field.value.i8 = number
        case .uint8(let number):
            unsafe field.kind = UInt8(ascii: "B")
            unsafe field.value.u8 = number
        case .int16(let number):
            unsafe field.kind = UInt8(ascii: "s")
            unsafe field.value.i16 = number
        case .uint16(let number):
            unsafe field.kind = UInt8(ascii: "u")
            unsafe field.value.u16 = number
        case .int32(let number):
            unsafe field.kind = UInt8(ascii: "I")
            unsafe field.value.i32 = number
        case .uint32(let number):
            unsafe field.kind = UInt8(ascii: "i")
            unsafe field.value.u32 = number
        case .int64(let number):
            unsafe field.kind = UInt8(ascii: "l")
            unsafe field.value.i64 = number
        case .float(let number):
            unsafe field.kind = UInt8(ascii: "f")
            unsafe field.value.f32 = number
        case .double(let number):
            unsafe field.kind = UInt8(ascii: "d")
            unsafe field.value.f64 = number
        case .decimal(let decimal):
            unsafe field.kind = UInt8(ascii: "D")
            unsafe field.value.decimal = amqp_decimal_t(decimals: decimal.scale, value: decimal.value)
        case .string(let text):
            unsafe field.kind = UInt8(ascii: "S")
            unsafe field.value.bytes = bytes(text)
        case .bytes(let octets):
            unsafe field.kind = UInt8(ascii: "x")
            unsafe field.value.bytes = bytes(octets)
        case .timestamp(let seconds):
            unsafe field.kind = UInt8(ascii: "T")
            unsafe field.value.u64 = seconds
        case .array(let elements):
            unsafe field.kind = UInt8(ascii: "A")
            unsafe field.value.array = array(elements)
        case .table(let nested):
            unsafe field.kind = UInt8(ascii: "F")
            unsafe field.value.table = table(nested)
        case .void:
            unsafe field.kind = UInt8(ascii: "V")
        }
        return unsafe field
    }

    private mutating func array(_ elements: [FieldValue]) -> amqp_array_t {
        guard let memory = unsafe allocate(elements.count * MemoryLayout<amqp_field_value_t>.stride) else {
            return unsafe amqp_array_t(num_entries: 0, entries: nil)
        }
        let entries = unsafe memory.bindMemory(to: amqp_field_value_t.self, capacity: elements.count)
        for (index, element) in elements.enumerated() {
            unsafe (entries + index).initialize(to: value(element))
        }
        return unsafe amqp_array_t(num_entries: Int32(elements.count), entries: entries)
    }
}
