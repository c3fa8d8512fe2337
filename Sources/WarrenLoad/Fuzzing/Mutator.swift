/// Makes hostile bytes from valid ones.
struct Mutator {
    var generator: SplitMix64
    /// The messages from which pieces are taken.
    let seeds: [FuzzSeed]

    /// The letters of field types, and some invalid ones.
    private static let letters = Array("tbBsuIilLfdDSxTAFVkoZ".utf8) + [0, 255]
    /// Pieces of JSON, of text that resembles it, and of bytes that are not text.
    private static let pieces =
        [
            "NaN", "-Infinity", "null", "true", "[", "]", "{", "}", ",", ":", "\"", "\\", "\\u0000", "\\ud800", "'",
            "//", "/*", "1e999",
            "-0", "123456789012345678901234567890", "0.1e-400", "{\"a\":", "[[],{},{}]", "\"tree\":{\"children\":[",
            "\u{FEFF}",
        ].map { Array($0.utf8) } + [[0], [0xFF], [0xC3, 0x28], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80]]

    /// A message with one to four mutations.
    mutating func message() -> FuzzSeed {
        var message = seeds[generator.below(seeds.count)]
        for _ in 0...generator.below(generator.below(4) + 1) {
            switch generator.below(10) {
            case 0...3: message.properties = mutated(message.properties) { $0.properties }
            case 4, 5: changeField(&message.properties)
            case 6: message.properties = appended(to: message.properties)
            case 7: insertPiece(&message.body)
            case 8: nestBody(&message.body)
            default: message.body = mutated(message.body) { $0.body }
            }
        }
        return message
    }

    /// Changes bytes without regard to their meaning.
    private mutating func mutated(_ bytes: [UInt8], from part: (FuzzSeed) -> [UInt8]) -> [UInt8] {
        var bytes = bytes
        let place = generator.below(bytes.count)
        switch generator.below(7) {
        case 0: if !bytes.isEmpty { bytes[place] ^= 1 << UInt8(generator.below(8)) }
        case 1: bytes.removeSubrange(place...)
        case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + generator.below(16)))
        case 3:
            let other = part(seeds[generator.below(seeds.count)])
            let start = generator.below(other.count)
            bytes.replaceSubrange(place..., with: other[start...])
        case 4:
            let piece = bytes[place..<min(bytes.count, place + 1 + generator.below(64))]
            bytes.insert(contentsOf: piece, at: generator.below(bytes.count))
        case 5: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: place)
        default: falsifyNumber(&bytes, at: place)
        }
        return bytes
    }

    /// Overwrites a length, or any other number of four bytes, with a false one.
    private mutating func falsifyNumber(_ bytes: inout [UInt8], at place: Int) {
        let numbers: [UInt32] = [
            0, 1, 0x7FFF_FFFF, 0x8000_0000, .max, UInt32(bytes.count), UInt32(generator.below(300)),
        ]
        let number = numbers[generator.below(numbers.count)]
        for offset in 0..<4 where place + offset < bytes.count {
            bytes[place + offset] = UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * offset))
        }
    }

    /// Changes a letter that is likely to be a field's type.
    private mutating func changeField(_ bytes: inout [UInt8]) {
        let places = bytes.indices.filter { Self.letters.contains(bytes[$0]) }
        guard !places.isEmpty else { return }
        bytes[places[generator.below(places.count)]] = Self.letters[generator.below(Self.letters.count)]
    }

    /// Adds a header to properties, deep, large, repeated or odd, with correct lengths.
    ///
    /// Properties that can no longer be parsed stay as they are.
    private mutating func appended(to properties: [UInt8]) -> [UInt8] {
        guard let table = HeaderTable(of: properties) else { return properties }
        let header: [UInt8] =
            switch generator.below(6) {
            case 0: nested(generator.below(80))
            case 1: generator.below(50) == 0 ? nested(20_000) : nested(33)
            case 2: Self.field("A", Array(repeating: UInt8(ascii: "V"), count: generator.below(400)))
            case 3:
                Self.field("A", Array(repeating: UInt8(ascii: "V"), count: generator.below(40) == 0 ? 70_000 : 40))
            case 4: Self.field("S", Array(repeating: 0xC3, count: generator.below(40) == 0 ? 125_000 : 300))
            default:
                [Self.letters[generator.below(Self.letters.count)]]
                    + (0..<8).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            }
        let names = [
            "task", "id", "eta", "expires", "retries", "x-death", "warren-history", "warren-failures", "z", "",
        ]
        var copies = [UInt8]()
        // Occasionally as many as fit.
        let count = generator.below(60) == 0 ? 3_000 : 1
        for number in 0..<count {
            let name = Array((count == 1 ? names[generator.below(names.count)] : "n\(number)").utf8)
            copies += [UInt8(name.count)] + name + header
            if copies.count > 200_000 { break }
        }
        return table.with(copies)
    }

    private mutating func nested(_ depth: Int) -> [UInt8] {
        // Written backwards, from the inside outwards, to take linear time.
        let asTable = Bool.random(using: &generator)
        var backwards: [UInt8] = [UInt8(ascii: "V")]
        for _ in 0..<depth {
            if asTable { backwards.append(0) }
            let length = UInt32(backwards.count)
            for shift in stride(from: UInt32(0), through: 24, by: 8) {
                backwards.append(UInt8(truncatingIfNeeded: length >> shift))
            }
            backwards.append(UInt8(ascii: asTable ? "F" : "A"))
        }
        return backwards.reversed()
    }

    private static func field(_ letter: Unicode.Scalar, _ content: [UInt8]) -> [UInt8] {
        [UInt8(ascii: letter)] + UInt32(content.count).octets + content
    }

    private mutating func insertPiece(_ body: inout [UInt8]) {
        body.insert(contentsOf: Self.pieces[generator.below(Self.pieces.count)], at: generator.below(body.count + 1))
    }

    /// Inserts deep nesting into a body.
    private mutating func nestBody(_ body: inout [UInt8]) {
        let depth = generator.below(100) == 0 ? 100_000 : generator.below(200)
        let (open, close) = [("[", "]"), (#"{"a":"#, "}"), (#"{"children":["#, "]}")][generator.below(3)]
        let deep = Array((String(repeating: open, count: depth) + String(repeating: close, count: depth)).utf8)
        let commas = body.indices.filter { body[$0] == UInt8(ascii: ":") || body[$0] == UInt8(ascii: ",") }
        body.insert(contentsOf: deep, at: commas.isEmpty ? 0 : commas[generator.below(commas.count)] + 1)
    }
}

/// The position of the headers in the bytes of properties.
private struct HeaderTable {
    private let properties: [UInt8]
    private let start: Int
    private let length: Int

    /// Skips the two texts that may precede the headers.
    init?(of properties: [UInt8]) {
        guard properties.count >= 6, properties[0] & 0x20 != 0 else { return nil }
        var place = 2
        for flag: UInt8 in [0x80, 0x40] where properties[0] & flag != 0 {
            guard place < properties.count else { return nil }
            place += 1 + Int(properties[place])
        }
        guard place + 4 <= properties.count else { return nil }
        let length = properties[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
        guard place + 4 + length <= properties.count else { return nil }
        self.properties = properties
        self.start = place
        self.length = length
    }

    /// The properties with more fields at the beginning of the headers.
    func with(_ fields: [UInt8]) -> [UInt8] {
        properties[..<start] + UInt32(length + fields.count).octets + fields + properties[(start + 4)...]
    }
}

extension UInt32 {
    fileprivate var octets: [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: self >> $0) } }
}
