import AMQP
import TestSupport
import Testing

@Suite("Whatever the values and whatever the bytes")
struct RoundTripPropertyTests {
    @Test("a table comes back from its bytes to the bit", arguments: PropertyRounds.seeds(10))
    func tablesComeBack(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            await Task.yield()
            let table = random.fieldTable()
            let decoded = try FieldTable(decoding: table.encoded())
            #expect(sameBits(decoded, table), "seed \(seed): \(table)")
        }
    }

    @Test("properties come back from their bytes to the bit", arguments: PropertyRounds.seeds(10))
    func propertiesComeBack(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            await Task.yield()
            let properties = random.properties()
            let bytes = try properties.encoded()
            let decoded = try BasicProperties(decoding: bytes)
            #expect(try decoded.encoded() == bytes, "seed \(seed): \(properties)")
            var (one, other) = (decoded, properties)
            #expect(sameBits(one.headers ?? FieldTable(), other.headers ?? FieldTable()))
            (one.headers, other.headers) = (nil, nil)
            #expect(one == other)
        }
    }

    @Test(
        "changed bytes of a table are refused, or read as a table that comes back",
        arguments: PropertyRounds.seeds(10, from: 100)
    )
    func changedTablesAreSafe(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            await Task.yield()
            let bytes = random.changed(try random.fieldTable().encoded())
            try expectStable(bytes, seed)
        }
    }

    @Test(
        "bytes of no meaning are refused, or read as a table that comes back",
        arguments: PropertyRounds.seeds(10, from: 200)
    )
    func randomBytesAreSafe(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            await Task.yield()
            let content = random.octets(upTo: 60)
            try expectStable([0, 0, 0, UInt8(content.count)] + content, seed)
        }
    }

    @Test(
        "changed bytes of properties are refused, or read as properties that come back",
        arguments: PropertyRounds.seeds(10, from: 300)
    )
    func changedPropertiesAreSafe(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            await Task.yield()
            let bytes = random.changed(try random.properties().encoded())
            guard let properties = try? BasicProperties(decoding: bytes) else { continue }
            let again = try BasicProperties(decoding: properties.encoded())
            #expect(try again.encoded() == properties.encoded(), "seed \(seed): \(bytes)")
        }
    }

    private func expectStable(_ bytes: [UInt8], _ seed: UInt64) throws {
        guard let table = try? FieldTable(decoding: bytes) else { return }
        let again = try FieldTable(decoding: table.encoded())
        #expect(sameBits(again, table), "seed \(seed): \(bytes)")
    }
}

extension SeededGenerator {
    /// The bytes with a few of them changed, removed or added.
    fileprivate mutating func changed(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
            let place = Int.random(in: bytes.indices, using: &self)
            switch next() % 4 {
            case 0: bytes.remove(at: place)
            case 1: bytes.insert(number(), at: place)
            case 2: bytes[place] ^= 1 << UInt8(next() % 8)
            default: bytes[place] = "tbBsuIilLfdDSxTAFV".utf8.randomElement(using: &self) ?? 0
            }
        }
        return bytes
    }
}
