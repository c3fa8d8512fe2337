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
    /// Read and never written; RabbitMQ takes it as signed, and so do we.
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
}
