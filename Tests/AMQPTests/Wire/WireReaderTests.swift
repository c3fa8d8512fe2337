import AMQP
import Testing

struct WireReaderTests {
    @Test func `Values are read in the order in which they were written`() throws {
        var writer = WireWriter()
        writer.write(UInt8(1))
        writer.write(UInt16(0x0203))
        writer.write(Int32(-4))
        writer.write(UInt64.max)
        try writer.write(shortString: "kürz")
        try writer.write(longString: [0, 1, 2])
        try writer.write(["k": "v"] as FieldTable)

        var reader = WireReader(writer.bytes)
        #expect(try reader.read(UInt8.self) == 1)
        #expect(try reader.read(UInt16.self) == 0x0203)
        #expect(try reader.read(Int32.self) == -4)
        #expect(try reader.read(UInt64.self) == .max)
        #expect(try reader.readShortString() == "kürz")
        #expect(try reader.readLongString().elementsEqual([0, 1, 2]))
        #expect(try reader.readFieldTable() == ["k": "v"])
        #expect(reader.remaining == 0)
    }

    @Test func `A reader of a slice doesn't read beyond it`() throws {
        var reader = WireReader([9, 9, 0, 7, 9][2..<4])
        #expect(try reader.read(UInt16.self) == 7)
        let error = try #require(throws: AMQPError.self) { try reader.read(UInt8.self) }
        #expect(error.code == .malformed)
    }

    @Test func `A short string has at most 255 bytes`() throws {
        var writer = WireWriter()
        try writer.write(shortString: String(repeating: "s", count: 255))
        #expect(writer.bytes.count == 256)
        #expect(throws: AMQPError.self) { try writer.write(shortString: String(repeating: "s", count: 256)) }
        #expect(writer.bytes.count == 256)
    }
}
