import AMQP
import TestSupport
import Testing

struct RoundTripPropertyTests {
    @Test(arguments: PropertyRounds.seeds(10))
    func `A table is decoded from its bytes to the bit`(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            await Task.yield()
            let table = random.fieldTable()
            let decoded = try FieldTable(decoding: table.encoded())
            #expect(sameBits(decoded, table), "seed \(seed): \(table)")
        }
    }

    @Test(arguments: PropertyRounds.seeds(10))
    func `Properties are decoded from their bytes to the bit`(seed: UInt64) async throws {
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
        arguments: PropertyRounds.seeds(10, from: 100)
    )
    func `Mutated bytes of a table are refused, or read as a table that survives a round trip`(
        seed: UInt64
    ) async throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            await Task.yield()
            let bytes = random.changed(try random.fieldTable().encoded())
            try expectStable(bytes, seed)
        }
    }

    @Test(
        arguments: PropertyRounds.seeds(10, from: 200)
    )
    func `Random bytes are refused, or read as a table that survives a round trip`(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            await Task.yield()
            let content = random.octets(upTo: 60)
            try expectStable([0, 0, 0, UInt8(content.count)] + content, seed)
        }
    }

    @Test(
        arguments: PropertyRounds.seeds(10, from: 300)
    )
    func `Mutated bytes of properties are refused, or read as properties that survive a round trip`(
        seed: UInt64
    ) async throws {
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

/// Whether two values are the same to the bit: unlike `==`, a NaN is the same as itself, and strings are compared by
/// their bytes.
private func sameBits(_ one: FieldValue, _ other: FieldValue) -> Bool {
    switch (one, other) {
    case (.float(let one), .float(let other)): one.bitPattern == other.bitPattern
    case (.double(let one), .double(let other)): one.bitPattern == other.bitPattern
    case (.string(let one), .string(let other)): one.utf8.elementsEqual(other.utf8)
    case (.array(let one), .array(let other)): one.count == other.count && zip(one, other).allSatisfy(sameBits)
    case (.table(let one), .table(let other)): sameBits(one, other)
    default: one == other
    }
}

/// Whether two tables have the same entries in the same order, to the bit.
private func sameBits(_ one: FieldTable, _ other: FieldTable) -> Bool {
    one.count == other.count
        && zip(one, other).allSatisfy { $0.name.utf8.elementsEqual($1.name.utf8) && sameBits($0.value, $1.value) }
}
