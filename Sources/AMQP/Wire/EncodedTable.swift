/// A field table as it is on the wire: checked as a whole, and decoded one entry at a time.
///
/// A job has some twenty headers, of which a worker reads a handful: decoding all of them would take longer than
/// everything else that a client does with a delivery.
struct EncodedTable: Sendable {
    /// The entries, without the length in front of them.
    let bytes: [UInt8]
    /// The number of entries.
    let count: Int
    /// The part of the limits that the table takes: levels, and values on all levels together.
    let extent: WireLimits
    /// True if a number in it may be infinite or NaN.
    let mayHoldInfinity: Bool

    /// Checks entries that fill `bytes`.
    ///
    /// Returns `nil` if they aren't a table within `limits`. Also if a table among them is unusual, with a name that
    /// isn't ASCII or is there twice, or with more than 128 entries: then decode them.
    init?(_ bytes: [UInt8], within limits: WireLimits) {
        var check = TableCheck(limits)
        let span = bytes.span
        guard let count = check.entries(of: span, from: 0, to: span.count, level: 1) else { return nil }
        self.bytes = bytes
        self.count = count
        extent = WireLimits(depth: check.depth, values: check.values)
        mayHoldInfinity = check.mayHoldInfinity
    }

    /// The offset of the entry behind the one at `offset`.
    func offset(after offset: Int) -> Int {
        let bytes = bytes.span
        let tag = offset + 1 + Int(bytes[offset])
        return FieldTag.end(of: bytes[tag], from: tag + 1, in: bytes) ?? bytes.count
    }

    /// The entry at `offset`.
    func entry(at offset: Int) -> (name: String, value: FieldValue) {
        var reader = WireReader(bytes[offset...])
        // The check has found that it can be read.
        return (try? reader.entry()) ?? ("", .void)
    }

    /// The value of the entry with this name, which must be ASCII.
    func value(named name: String) -> FieldValue? {
        let bytes = bytes.span
        let length = name.utf8.count
        var entry = 0
        while entry < bytes.count {
            let tag = entry + 1 + Int(bytes[entry])
            if tag - entry - 1 == length, Self.holds(name, at: entry + 1, in: bytes) {
                var reader = WireReader(self.bytes[tag...])
                return try? reader.value()
            }
            entry = FieldTag.end(of: bytes[tag], from: tag + 1, in: bytes) ?? bytes.count
        }
        return nil
    }

    private static func holds(_ name: String, at offset: Int, in bytes: Span<UInt8>) -> Bool {
        var place = offset
        for octet in name.utf8 {
            if bytes[place] != octet { return false }
            place += 1
        }
        return true
    }
}

/// The check of a table's bytes: whether every entry can be read, and what the table takes.
private struct TableCheck {
    /// The number of levels, with the outermost.
    private(set) var depth = 0
    /// The number of entries and array elements.
    private(set) var values = 0
    private(set) var mayHoldInfinity = false
    private let limits: WireLimits

    private static let mostEntries = 128

    init(_ limits: WireLimits) { self.limits = limits }

    /// Checks the entries of a table, and returns their number; `nil` for a fault.
    mutating func entries(of bytes: Span<UInt8>, from start: Int, to end: Int, level: Int) -> Int? {
        guard enter(level) else { return nil }
        var count = 0
        // A bit for each name seen: most names find their bit unset, and the others are compared.
        var seen: UInt64 = 0
        var entry = start
        while entry < end {
            let tag = entry + 1 + Int(bytes[entry])
            guard tag < end, count < Self.mostEntries else { return nil }
            var hash: UInt32 = 0
            for place in entry + 1..<tag {
                guard bytes[place] < 128 else { return nil }
                hash = hash &* 33 ^ UInt32(bytes[place])
            }
            let bit: UInt64 = 1 << UInt64((hash ^ hash >> 6 ^ hash >> 12) & 63)
            if seen & bit != 0, Self.holds(bytes, start, entry) { return nil }
            seen |= bit
            guard let next = value(of: bytes, at: tag, to: end, level: level) else { return nil }
            entry = next
            count += 1
        }
        return count
    }

    /// Returns whether the name at `entry` is also that of an entry between `start` and it.
    private static func holds(_ bytes: Span<UInt8>, _ start: Int, _ entry: Int) -> Bool {
        var other = start
        while other < entry {
            let tag = other + 1 + Int(bytes[other])
            if bytes[other] == bytes[entry] {
                var place = 1
                while other + place < tag, bytes[other + place] == bytes[entry + place] { place += 1 }
                if other + place == tag { return true }
            }
            other = FieldTag.end(of: bytes[tag], from: tag + 1, in: bytes) ?? entry
        }
        return false
    }

    /// Checks the value whose tag is at `place`, and returns the offset behind it; `nil` for a fault.
    private mutating func value(of bytes: Span<UInt8>, at place: Int, to end: Int, level: Int) -> Int? {
        values += 1
        let tag = bytes[place]
        guard values <= limits.values, let next = FieldTag.end(of: tag, from: place + 1, in: bytes), next <= end else {
            return nil
        }
        switch tag {
        case FieldTag.float, FieldTag.double: mayHoldInfinity = true
        case FieldTag.table:
            guard entries(of: bytes, from: place + 5, to: next, level: level + 1) != nil else { return nil }
        case FieldTag.array:
            guard enter(level + 1) else { return nil }
            var element = place + 5
            while element < next {
                guard let following = value(of: bytes, at: element, to: next, level: level + 1) else { return nil }
                element = following
            }
        default: break
        }
        return next
    }

    private mutating func enter(_ level: Int) -> Bool {
        depth = max(depth, level)
        return level <= limits.depth
    }
}

/// Writes a field table entry by entry in its form on the wire, for tables that the program itself makes.
package struct FieldTableWriter: Sendable {
    private var writer: WireWriter

    /// Creates a writer with room for `capacity` bytes before it has to grow.
    package init(capacity: Int) { writer = WireWriter(capacity: capacity) }

    /// Writes an entry with a text.
    ///
    /// - Precondition: The name is new and has at most 255 bytes, and the text has less than 4 GiB.
    package mutating func write(_ name: String, _ text: String) {
        writeName(name)
        writer.append(FieldTag.string)
        writer.write(UInt32(text.utf8.count))
        writer.append(text.utf8)
    }

    /// Writes an entry.
    ///
    /// - Precondition: The name is new and has at most 255 bytes, and AMQP can carry the value.
    package mutating func write(_ name: String, _ value: FieldValue) {
        writeName(name)
        var limits = WireLimits.standard
        do throws(WireFault) {
            try writer.write(field: value, &limits)
        } catch {
            preconditionFailure("The value of '\(name)' \(error.reason)")
        }
    }

    /// Writes what another writer has written.
    package mutating func write(_ entries: FieldTableWriter) { writer.append(entries.writer.bytes) }

    private mutating func writeName(_ name: String) {
        let utf8 = name.utf8
        writer.append(UInt8(utf8.count))
        writer.append(utf8)
    }

    /// The table.
    package var table: FieldTable { FieldTable(entries: writer.bytes) ?? FieldTable(decodingEntries: writer.bytes) }
}
