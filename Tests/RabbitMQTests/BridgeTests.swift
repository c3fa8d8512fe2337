import AMQP
import CRabbitMQ
import TestSupport
import Testing

@testable import RabbitMQ

/// Tables stay the same in librabbitmq's encoder and decoder and in ours.
struct BridgeTests {
    fileprivate let everyType: FieldTable = [
        "bool": true, "int8": .int8(-8), "uint8": .uint8(200), "int16": .int16(-3000), "uint16": .uint16(60_000),
        "int32": .int32(-70_000), "uint32": .uint32(4_000_000_000), "int64": .int64(-5_000_000_000),
        "float": .float(1.5),
        "double": .double(-2.25), "decimal": .decimal(FieldDecimal(scale: 2, value: 1999)), "string": "Grüße, 世界",
        "empty": "", "bytes": .bytes([0, 255, 1]), "timestamp": .timestamp(1_795_232_083), "void": .void,
        "array": [1, "two", [3, .void]], "table": ["nested": ["deeper": true]], "no entries": .table([:]),
    ]

    /// A table as librabbitmq encodes it.
    private func encodedByLibrary(_ table: FieldTable) throws -> [UInt8] {
        var arena = EncodingArena()
        var table = unsafe arena.table(table)
        var buffer = [UInt8](repeating: 0, count: 131_072)
        var offset = 0
        let status = unsafe buffer.withUnsafeMutableBytes { memory in
            unsafe amqp_encode_table(amqp_bytes_t(len: memory.count, bytes: memory.baseAddress), &table, &offset)
        }
        try #require(status == AMQP_STATUS_OK.rawValue)
        return Array(buffer.prefix(offset))
    }

    /// The table that librabbitmq decodes from bytes, which must be one.
    private func decodedByLibrary(_ encoded: [UInt8]) throws -> FieldTable {
        try #require(readByLibrary(encoded))
    }

    /// The table that librabbitmq decodes from bytes; `nil` if it refuses them.
    fileprivate func readByLibrary(_ encoded: [UInt8]) -> FieldTable? {
        var encoded = encoded
        var pool = unsafe amqp_pool_t()
        unsafe init_amqp_pool(&pool, 4096)
        defer { unsafe empty_amqp_pool(&pool) }
        var table = unsafe amqp_table_t()
        var offset = 0
        let status = unsafe encoded.withUnsafeMutableBytes { memory in
            unsafe amqp_decode_table(
                amqp_bytes_t(len: memory.count, bytes: memory.baseAddress),
                &pool,
                &table,
                &offset
            )
        }
        return status == AMQP_STATUS_OK.rawValue ? unsafe FieldTable(copying: table) : nil
    }

    @Test func `Librabbitmq encodes and decodes every type without a change`() throws {
        #expect(try decodedByLibrary(encodedByLibrary(everyType)) == everyType)
    }

    @Test func `Librabbitmq reads what our encoder writes`() throws {
        #expect(try decodedByLibrary(everyType.encoded()) == everyType)
    }

    @Test func `Our decoder reads what librabbitmq writes`() throws {
        #expect(try FieldTable(decoding: encodedByLibrary(everyType)) == everyType)
    }

    @Test func `Text that is not UTF-8 is copied as bytes`() throws {
        var encoded: [UInt8] = [0, 0, 0, 9, 1, UInt8(ascii: "k"), UInt8(ascii: "S"), 0, 0, 0, 2, 0xFF, 0xFE]
        #expect(try decodedByLibrary(encoded) == ["k": .bytes([0xFF, 0xFE])])
        encoded[6] = UInt8(ascii: "x")
        #expect(try decodedByLibrary(encoded) == ["k": .bytes([0xFF, 0xFE])])
    }
}

struct BridgePropertyTests {
    @Test func `Librabbitmq and our copy survive any corrupted bytes, and both decoders agree on what they accept`()
        async throws
    {
        let bridge = BridgeTests()
        let rounds = PropertyRounds.count(1_000)
        var generator = SeededGenerator(seed: 5)
        let good = try bridge.everyType.encoded()
        var readByBoth = 0
        for _ in 0..<rounds {
            await Task.yield()
            var bytes = good
            for _ in 0...Int.random(in: 0..<3, using: &generator) {
                bytes[Int.random(in: 4..<bytes.count, using: &generator)] = UInt8(truncatingIfNeeded: generator.next())
            }
            guard let copy = bridge.readByLibrary(bytes), let own = try? FieldTable(decoding: bytes) else { continue }
            readByBoth += 1
            // A float that isn't a number doesn't equal itself.
            #expect(copy == own || copy != copy)
        }
        #expect(readByBoth > rounds / 10)
    }
}
