import TestSupport
import Testing

@testable import AMQP

struct EncodedTableTests {
    private let table: FieldTable = [
        "id": "a-1", "retries": .int32(3), "eta": .void, "limits": [.void, .double(1.5)],
        "nested": ["deeper": ["deepest": true]],
    ]

    /// The entries of a table on the wire.
    private func entries(of table: FieldTable) throws -> [UInt8] { Array(try table.encoded().dropFirst(4)) }

    @Test func `A table on the wire has the entries, order, size and equality of one in memory`() throws {
        let received = try #require(try FieldTable(entries: entries(of: table)))
        #expect(received == table && received.hashValue == table.hashValue)
        #expect(received.map(\.name) == table.map(\.name))
        #expect(received.count == 5 && received.wireSize == table.wireSize)
        #expect(received["limits"] == [.void, .double(1.5)])
        #expect(received["nested"]?.tableValue?["deeper"]?.tableValue?["deepest"] == true)
        #expect(received["missing"] == nil && received["ID"] == nil)
        #expect(!received.isDeeper(than: 3) && received.isDeeper(than: 2))
        #expect(try received.encoded() == table.encoded())
    }

    @Test func `Changing a received table decodes it and keeps the others' copies`() throws {
        let received = try #require(try FieldTable(entries: entries(of: table)))
        var changed = received
        changed["retries"] = .int32(4)
        changed["eta"] = nil
        changed["new"] = "value"
        #expect(changed.map(\.name) == ["id", "retries", "limits", "nested", "new"])
        #expect(received == table)
    }

    @Test func `Names are compared by their characters, also with a table on the wire`() throws {
        let received = try #require(try FieldTable(entries: entries(of: ["K": 1])))
        // The Kelvin sign is equal to the letter.
        #expect(received["\u{212A}"] == 1)
    }

    @Test func `An unusual table is decoded at once`() throws {
        var twice: [UInt8] = []
        for value in 1...2 { twice += [1, UInt8(ascii: "a"), FieldTag.uint8, UInt8(value)] }
        #expect(FieldTable(entries: twice) == nil)
        #expect(try FieldTable(decoding: [0, 0, 0, 8] + twice) == ["a": .uint8(1)])
        #expect(try FieldTable(entries: entries(of: ["ä": 1])) == nil)
        #expect(try FieldTable(entries: entries(of: ["outer": ["ä": 1]])) == nil)
        var many = FieldTable()
        for number in 0..<129 { many["\(number)"] = .void }
        #expect(try FieldTable(entries: entries(of: many)) == nil)
        #expect(try FieldTable(decoding: many.encoded()) == many)
    }

    @Test func `Names with equal hashes are different names`() throws {
        var table = FieldTable()
        for number in 0..<128 { table["name-\(number)"] = .int32(Int32(number)) }
        let received = try #require(try FieldTable(entries: entries(of: table)))
        for number in 0..<128 { #expect(received["name-\(number)"] == .int32(Int32(number))) }
    }

    @Test func `Bytes that can't be read or are beyond the limits make no table`() throws {
        let bytes = try entries(of: table)
        for count in bytes.indices.dropFirst() {
            if let part = FieldTable(entries: Array(bytes[..<count])) { #expect(part.count < 5) }
        }
        #expect(FieldTable(entries: [1, UInt8(ascii: "a"), UInt8(ascii: "?")]) == nil)
        #expect(FieldTable(entries: bytes, limits: WireLimits(depth: 3, values: 9)) != nil)
        #expect(FieldTable(entries: bytes, limits: WireLimits(depth: 2, values: 9)) == nil)
        #expect(FieldTable(entries: bytes, limits: WireLimits(depth: 3, values: 8)) == nil)
    }

    @Test func `A received number that RabbitMQ can't read is refused before it is sent on`() throws {
        let received = try #require(try FieldTable(entries: entries(of: ["x": .double(1)])))
        try received.validate("A message")
        var bytes = try entries(of: ["x": .double(1)])
        bytes.replaceSubrange(3..., with: [0x7F, 0xF0, 0, 0, 0, 0, 0, 0])
        let infinite = try #require(FieldTable(entries: bytes))
        #expect(throws: AMQPError.self) { try infinite.validate("A message") }
    }

    @Test func `A table nested in another counts towards its limits`() throws {
        var inner = FieldTable()
        for _ in 0..<31 { inner = ["in": .table(inner)] }
        let received = try #require(try FieldTable(entries: entries(of: inner)))
        #expect(throws: AMQPError.self) { try FieldTable(dictionaryLiteral: ("out", .table(received))).encoded() }
    }

    @Test func `A writer's table is what it wrote`() {
        var constant = FieldTableWriter(capacity: 16)
        constant.write("retries", .int32(0))
        var writer = FieldTableWriter(capacity: 16)
        writer.write("id", "ä-1")
        writer.write(constant)
        writer.write("limits", [.void, 2])
        #expect(writer.table == ["id": "ä-1", "retries": .int32(0), "limits": [.void, .int32(2)]])
        #expect(writer.table.map(\.name) == ["id", "retries", "limits"])
    }
}
