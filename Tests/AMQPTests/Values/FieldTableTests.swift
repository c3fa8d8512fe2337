import AMQP
import Testing

struct FieldTableTests {
    @Test func `Names keep the order in which they were set, and a changed entry its place`() {
        var table: FieldTable = ["b": 1, "a": 2]
        table["b"] = 3
        table["c"] = 4
        #expect(table.map(\.name) == ["b", "a", "c"])
        #expect(table["b"] == 3)
    }

    @Test func `Setting an entry to nil removes it`() {
        var table: FieldTable = ["a": 1, "b": 2]
        table["a"] = nil
        table["z"] = nil
        #expect(table == ["b": 2])
    }

    @Test func `Tables with the same entries in another order are equal, and so are their hashes`() {
        let one: FieldTable = ["a": 1, "b": ["c": "d"]]
        let other: FieldTable = ["b": ["c": "d"], "a": 1]
        #expect(one == other)
        #expect(one.hashValue == other.hashValue)
        #expect(one != ["a": 1, "b": ["c": "e"]])
        #expect(one != ["a": 1])
    }

    @Test func `Merging sets the other table's entries over those of this one`() {
        #expect((["a": 1, "b": 2] as FieldTable).merging(["b": 3, "c": 4]) == ["a": 1, "b": 3, "c": 4])
    }

    @Test func `A literal integer has 32 bits where it fits, else 64`() {
        #expect(2_147_483_647 as FieldValue == .int32(.max))
        #expect(2_147_483_648 as FieldValue == .int64(2_147_483_648))
        #expect(FieldValue.integer(-2_147_483_649) == .int64(-2_147_483_649))
    }

    @Test func `A number of any width can be read as an integer`() {
        let numbers: [FieldValue] = [
            .int8(5), .uint8(5), .int16(5), .uint16(5), .int32(5), .uint32(5), .int64(5), .timestamp(5),
        ]
        #expect(numbers.allSatisfy { $0.integerValue == 5 })
        #expect(FieldValue.timestamp(.max).integerValue == nil)
        #expect(FieldValue.string("5").integerValue == nil)
    }
}
