/// A value in an AMQP field table: every type of AMQP 0-9-1 and of RabbitMQ's additions to it.
///
/// The letter after each case is its tag on the wire, as RabbitMQ reads it
/// (<https://www.rabbitmq.com/docs/amqp-0-9-1-errata#section_3>). Where RabbitMQ and the text of 0-9-1 differ,
/// RabbitMQ's reading applies.
public enum FieldValue: Sendable, Hashable {
    /// `t`
    case bool(Bool)
    /// `b`
    case int8(Int8)
    /// `B`
    case uint8(UInt8)
    /// `s`
    case int16(Int16)
    /// `u`
    case uint16(UInt16)
    /// `I`
    case int32(Int32)
    /// `i`
    case uint32(UInt32)
    /// `l`; `L`, which Python's clients send, is also read as this: RabbitMQ reads both as signed.
    case int64(Int64)
    /// `f`
    case float(Float)
    /// `d`
    case double(Double)
    /// `D`
    case decimal(FieldDecimal)
    /// `S`, when its octets are UTF-8; other octets are read as ``bytes(_:)``.
    case string(String)
    /// `x`
    case bytes([UInt8])
    /// `T`: whole seconds since 1970.
    case timestamp(UInt64)
    /// `A`
    case array([FieldValue])
    /// `F`
    case table(FieldTable)
    /// `V`
    case void
}

/// A decimal number as AMQP sends it: `value` divided by ten to the power of `scale`.
public struct FieldDecimal: Sendable, Hashable {
    /// The number of decimal places of `value`.
    public var scale: UInt8
    /// The number without its decimal point.
    public var value: UInt32

    /// Makes the number `value / 10^scale`.
    public init(scale: UInt8, value: UInt32) {
        self.scale = scale
        self.value = value
    }
}

extension FieldValue {
    /// The text, if this is a string.
    public var stringValue: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// The number, if this is an integer of any width that an `Int64` holds, or a timestamp.
    public var integerValue: Int64? {
        switch self {
        case .int8(let number): Int64(number)
        case .uint8(let number): Int64(number)
        case .int16(let number): Int64(number)
        case .uint16(let number): Int64(number)
        case .int32(let number): Int64(number)
        case .uint32(let number): Int64(number)
        case .int64(let number): number
        case .timestamp(let seconds): Int64(exactly: seconds)
        default: nil
        }
    }

    /// The Boolean, if this is one.
    public var boolValue: Bool? {
        guard case .bool(let truth) = self else { return nil }
        return truth
    }

    /// The elements, if this is an array.
    public var arrayValue: [FieldValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// The entries, if this is a table.
    public var tableValue: FieldTable? {
        guard case .table(let table) = self else { return nil }
        return table
    }

    /// An integer in the narrowest of the two widths that every client reads alike: 32 bits where it fits, else 64.
    public static func integer(_ number: Int64) -> FieldValue {
        Int32(exactly: number).map(FieldValue.int32) ?? .int64(number)
    }
}

extension FieldValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// A string field.
    public init(stringLiteral value: String) { self = .string(value) }
    /// An integer field of 32 bits where the number fits, else of 64.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A Boolean field.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// An array field.
    public init(arrayLiteral elements: FieldValue...) { self = .array(elements) }
    /// A nested table.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        var table = FieldTable()
        for (name, value) in elements { table[name] = value }
        self = .table(table)
    }
}

/// The letters that name a field's type on the wire, as RabbitMQ reads and writes them.
///
/// Source: <https://www.rabbitmq.com/docs/amqp-0-9-1-errata#section_3> and `rabbit_binary_parser.erl`.
enum FieldTag {
    static let bool = UInt8(ascii: "t")
    static let int8 = UInt8(ascii: "b")
    static let uint8 = UInt8(ascii: "B")
    static let int16 = UInt8(ascii: "s")
    static let uint16 = UInt8(ascii: "u")
    static let int32 = UInt8(ascii: "I")
    static let uint32 = UInt8(ascii: "i")
    static let int64 = UInt8(ascii: "l")
    /// Read and never written; RabbitMQ reads it as signed, and so do we.
    static let otherInt64 = UInt8(ascii: "L")
    static let float = UInt8(ascii: "f")
    static let double = UInt8(ascii: "d")
    static let decimal = UInt8(ascii: "D")
    static let string = UInt8(ascii: "S")
    static let bytes = UInt8(ascii: "x")
    static let timestamp = UInt8(ascii: "T")
    static let array = UInt8(ascii: "A")
    static let table = UInt8(ascii: "F")
    static let void = UInt8(ascii: "V")

    /// The offset behind the value that begins at `start` and has this tag; `nil` if AMQP doesn't define the tag, or
    /// the bytes end before the value's length does.
    static func end(of tag: UInt8, from start: Int, in bytes: Span<UInt8>) -> Int? {
        switch tag {
        case void: return start
        case bool, int8, uint8: return start + 1
        case int16, uint16: return start + 2
        case int32, uint32, float: return start + 4
        case decimal: return start + 5
        case int64, otherInt64, double, timestamp: return start + 8
        case string, self.bytes, array, table:
            guard start + 4 <= bytes.count else { return nil }
            var length = 0
            for place in start..<start + 4 { length = length << 8 | Int(bytes[place]) }
            return start + 4 + length
        default: return nil
        }
    }
}

extension FieldValue {
    /// The number of bytes that the value takes on the wire, with the letter of its type.
    package var wireSize: Int {
        switch self {
        case .void: 1
        case .bool, .int8, .uint8: 2
        case .int16, .uint16: 3
        case .int32, .uint32, .float: 5
        case .decimal: 6
        case .int64, .double, .timestamp: 9
        case .string(let text): 5 + text.utf8.count
        case .bytes(let bytes): 5 + bytes.count
        case .array(let elements): elements.reduce(5) { $0 + $1.wireSize }
        case .table(let table): 1 + table.wireSize
        }
    }

    /// Returns whether tables and arrays are nested in it for more than `levels`, which bounds the recursion too.
    func isDeeper(than levels: Int) -> Bool {
        switch self {
        case .array(let elements): levels == 0 || elements.contains { $0.isDeeper(than: levels - 1) }
        case .table(let table): levels == 0 || table.isDeeper(than: levels)
        default: false
        }
    }
}
