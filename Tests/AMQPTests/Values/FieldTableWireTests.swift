import AMQP
import Testing

struct FieldTableWireTests {
    /// The bytes of a table with one entry named `k`, by hand from the AMQP 0-9-1 errata.
    static let knownAnswers: [(FieldValue, [UInt8])] = [
        (.bool(true), [0x74, 1]),
        (.bool(false), [0x74, 0]),
        (.int8(-2), [0x62, 0xFE]),
        (.uint8(254), [0x42, 0xFE]),
        (.int16(-2), [0x73, 0xFF, 0xFE]),
        (.uint16(65_534), [0x75, 0xFF, 0xFE]),
        (.int32(-2), [0x49, 0xFF, 0xFF, 0xFF, 0xFE]),
        (.uint32(4_294_967_294), [0x69, 0xFF, 0xFF, 0xFF, 0xFE]),
        (.int64(134_217_728_000), [0x6C, 0, 0, 0, 0x1F, 0x40, 0, 0, 0]),
        (.float(1.5), [0x66, 0x3F, 0xC0, 0, 0]),
        (.double(-2), [0x64, 0xC0, 0, 0, 0, 0, 0, 0, 0]),
        (.decimal(FieldDecimal(scale: 2, value: 314)), [0x44, 2, 0, 0, 1, 0x3A]),
        (.string("é"), [0x53, 0, 0, 0, 2, 0xC3, 0xA9]),
        (.bytes([0, 255]), [0x78, 0, 0, 0, 2, 0, 255]),
        (.timestamp(1_800_000_000), [0x54, 0, 0, 0, 0, 0x6B, 0x49, 0xD2, 0]),
        (.array([.void, .bool(true)]), [0x41, 0, 0, 0, 3, 0x56, 0x74, 1]),
        (.table(["a": .void]), [0x46, 0, 0, 0, 3, 1, 0x61, 0x56]),
        (.void, [0x56]),
    ]

    static func table(_ field: [UInt8]) -> [UInt8] {
        [0, 0, 0, UInt8(field.count + 2), 1, UInt8(ascii: "k")] + field
    }

    @Test(arguments: knownAnswers)
    func `Each type is written as RabbitMQ reads it`(_ value: FieldValue, _ bytes: [UInt8]) throws {
        #expect(try FieldTable(dictionaryLiteral: ("k", value)).encoded() == Self.table(bytes))
    }

    @Test(arguments: knownAnswers)
    func `Each type is read as RabbitMQ writes it`(_ value: FieldValue, _ bytes: [UInt8]) throws {
        let table = try FieldTable(decoding: Self.table(bytes))
        #expect(table["k"] == value)
        #expect(table.count == 1)
    }

    @Test func `Python's L is read as a signed number`() throws {
        let bytes = Self.table([UInt8(ascii: "L")] + Array(repeating: 0xFF, count: 8))
        #expect(try FieldTable(decoding: bytes)["k"] == .int64(-1))
    }

    @Test func `A string that is not UTF-8 is read as bytes`() throws {
        let bytes = Self.table([UInt8(ascii: "S"), 0, 0, 0, 2, 0xC3, 0x28])
        #expect(try FieldTable(decoding: bytes)["k"] == .bytes([0xC3, 0x28]))
    }

    @Test func `Any octet but 0 is read as true`() throws {
        #expect(try FieldTable(decoding: Self.table([UInt8(ascii: "t"), 7]))["k"] == .bool(true))
    }

    @Test func `The first of two entries with the same name wins`() throws {
        let entry = { (number: UInt8) in [1, UInt8(ascii: "k"), UInt8(ascii: "B"), number] }
        let table = try FieldTable(decoding: [0, 0, 0, 8] + entry(1) + entry(2))
        #expect(table == ["k": .uint8(1)])
        #expect(table.count == 1)
    }

    @Test func `A duplicate name is found among hundreds`() throws {
        var entries: [UInt8] = []
        for number in 0..<200 { entries += [2, UInt8(number / 16 + 65), UInt8(number % 16 + 65), UInt8(ascii: "V")] }
        entries += [2, 65, 65, UInt8(ascii: "t"), 1]
        let table = try FieldTable(decoding: [0, 0, UInt8(entries.count >> 8), UInt8(entries.count & 255)] + entries)
        #expect(table.count == 200)
        #expect(table["AA"] == .void)
    }

    @Test func `Names may have 255 bytes`() throws {
        let longest = String(repeating: "é", count: 127) + "x"
        let table: FieldTable = [longest: 1]
        #expect(try FieldTable(decoding: table.encoded()) == table)
    }

    @Test func `A name of 256 bytes is not written, and the error says where`() throws {
        let name = String(repeating: "n", count: 256)
        let error = try #require(throws: AMQPError.self) {
            try (["outer": [.table([name: 1])]] as FieldTable).encoded()
        }
        #expect(error.code == .invalidArgument)
        #expect(error.message.contains("outer[0].nnn"))
        #expect(error.message.contains("256 bytes"))
    }

    @Test func `A table that can't be written leaves nothing behind`() throws {
        var writer = WireWriter()
        writer.write(UInt16(7))
        #expect(throws: AMQPError.self) {
            try writer.write(["a": 1, String(repeating: "n", count: 256): 1] as FieldTable)
        }
        #expect(writer.bytes == [0, 7])
    }
}
