import AMQP
import Testing

struct MalformedFieldTableTests {
    struct Example: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: [UInt8]
        var words: [String]
    }

    static let examples = [
        Example(testDescription: "nothing", bytes: [], words: ["needs 4 bytes", "0 are left"]),
        Example(testDescription: "a length beyond the end", bytes: [0, 0, 0, 9, 1], words: ["9 bytes", "1 are left"]),
        Example(testDescription: "a name cut short", bytes: [0, 0, 0, 2, 5, 97], words: ["name 0", "5 bytes"]),
        Example(
            testDescription: "a name that is not UTF-8",
            bytes: [0, 0, 0, 4, 2, 0xC3, 0x28, 0x56],
            words: ["name 0", "not UTF-8"]
        ),
        Example(testDescription: "an unknown type", bytes: [0, 0, 0, 3, 1, 97, 0x7A], words: ["'a'", "122 ('z')"]),
        Example(
            testDescription: "a number cut short",
            bytes: [0, 0, 0, 4, 1, 97, 0x49, 0],
            words: ["'a'", "needs 4 bytes"]
        ),
        Example(
            testDescription: "a string beyond its table",
            bytes: [0, 0, 0, 8, 1, 97, 0x53, 0, 0, 0, 2, 97, 97],
            words: ["'a'", "needs 2 bytes", "1 are left"]
        ),
        Example(
            testDescription: "an inner table beyond the outer",
            bytes: [0, 0, 0, 7, 1, 97, 0x46, 0, 0, 0, 1, 0],
            words: ["'a'", "says it has 1 bytes"]
        ),
        Example(
            testDescription: "a fault deep inside",
            bytes: [0, 0, 0, 12, 1, 97, 0x41, 0, 0, 0, 5, 0x56, 0x46, 0, 0, 0],
            words: ["'a[1]'", "needs 4 bytes"]
        ),
        Example(testDescription: "bytes left over", bytes: [0, 0, 0, 0, 1], words: ["followed by 1 bytes"]),
    ]

    @Test(arguments: examples)
    func `Malformed bytes are refused with the field and the reason`(_ example: Example) throws {
        let error = try #require(throws: AMQPError.self) { try FieldTable(decoding: example.bytes) }
        #expect(error.code == .malformed)
        for words in example.words { #expect(error.message.contains(words), "\(error.message)") }
    }

    @Test func `Bytes that claim to nest 20,000 levels deep are refused at the limit`() throws {
        // Each array says that it holds all that follows.
        let levels = 20_000
        var nested: [UInt8] = [1, 97]
        for level in 0..<levels {
            let rest = UInt32((levels - level - 1) * 5)
            nested += [0x41] + (0..<4).map { UInt8(truncatingIfNeeded: rest >> (24 - 8 * $0)) }
        }
        let length = UInt32(nested.count)
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + nested
        let error = try #require(throws: AMQPError.self) { try FieldTable(decoding: bytes) }
        #expect(error.message.contains("nested more deeply"))
    }

    @Test func `A table may have as many levels as the limit says, and no more`() throws {
        let table: FieldTable = ["a": ["b": ["c"]]]
        let bytes = try table.encoded()
        #expect(try FieldTable(decoding: bytes, limits: WireLimits(depth: 3)) == table)
        #expect(throws: AMQPError.self) { try FieldTable(decoding: bytes, limits: WireLimits(depth: 2)) }
        #expect(throws: AMQPError.self) { try table.encoded(limits: WireLimits(depth: 2)) }
    }

    @Test func `A table may have as many values as the limit says, over all levels, and no more`() throws {
        let table: FieldTable = ["a": ["b", "c"], "d": ["e": .void]]
        let bytes = try table.encoded()
        #expect(try FieldTable(decoding: bytes, limits: WireLimits(values: 5)) == table)
        #expect(throws: AMQPError.self) { try FieldTable(decoding: bytes, limits: WireLimits(values: 4)) }
        #expect(throws: AMQPError.self) { try table.encoded(limits: WireLimits(values: 4)) }
    }
}
