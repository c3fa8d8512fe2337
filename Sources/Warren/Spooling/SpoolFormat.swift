import AMQP

/// The bytes of a spool's file: a header, then records; all numbers in network order.
///
/// | part | bytes |
/// |---|---|
/// | header, twice | `warrenSP`, version (2), zero (2), salt (4), CRC-32C of these 16 (4) |
/// | record | mark (4), kind (1), zero (3), sequence number (8), length of the payload (4), CRC-32C (4), payload |
///
/// A record's checksum covers the file's salt, kind, sequence number, length and payload. Because of the salt, no part
/// of a job's payload can be mistaken for a record of the file. The header stands there twice, so that one bad bit in
/// it doesn't lose the file.
enum SpoolFormat {
    enum Kind: UInt8 {
        /// A job, under its sequence number.
        case entry = 1
        /// All entries up to the sequence number are at the broker.
        case confirmed = 2
    }

    /// A record in the file.
    struct Record {
        var kind: Kind
        var sequence: UInt64
        var payload: Range<Int>
    }

    /// The reason why a file can't be used as a spool.
    struct NotASpool: Error {
        var reason: String
    }

    static let headerLength = 40
    static let recordHeaderLength = 24
    static let mark: [UInt8] = [0xAB, 0x57, 0x53, 0x52]

    private static let magic = Array("warrenSP".utf8)
    private static let version: UInt16 = 1
    private static let copyLength = headerLength / 2

    static func header(salt: UInt32) -> [UInt8] {
        var writer = WireWriter(capacity: copyLength)
        for byte in magic { writer.write(byte) }
        writer.write(version)
        writer.write(UInt16(0))
        writer.write(salt)
        writer.write(CRC32C.checksum(writer.bytes))
        return writer.bytes + writer.bytes
    }

    /// The salt of a file.
    ///
    /// - Throws: ``NotASpool`` if the bytes don't begin with a header, or with one of another version.
    static func salt(of bytes: [UInt8]) throws(NotASpool) -> UInt32 {
        guard bytes.count >= headerLength else { throw NotASpool(reason: "it is not a spool") }
        var other: UInt16?
        for start in [0, copyLength] {
            let copy = bytes[start..<start + copyLength]
            guard copy.starts(with: magic), number(copy, at: 16) == CRC32C.checksum(copy.prefix(16)) else { continue }
            let found: UInt16 = number(copy, at: 8)
            if found == version { return number(copy, at: 12) }
            other = found
        }
        if let other {
            throw NotASpool(reason: "it is a spool of version \(other), and this program knows version \(version)")
        }
        throw NotASpool(reason: "it is not a spool")
    }

    static func record(_ kind: Kind, _ sequence: UInt64, _ payload: [UInt8] = [], salt: UInt32) -> [UInt8] {
        var writer = WireWriter(capacity: recordHeaderLength)
        for byte in mark { writer.write(byte) }
        writer.write(kind.rawValue)
        for _ in 0..<3 { writer.write(UInt8(0)) }
        writer.write(sequence)
        writer.write(UInt32(payload.count))
        writer.write(checksum(salt: salt, head: writer.bytes[4..<20], payload: payload[...]))
        return writer.bytes + payload
    }

    /// The record at `start`, or `nil` if there is none that is complete and intact.
    static func record(in bytes: [UInt8], at start: Int, salt: UInt32) -> Record? {
        guard bytes.count - start >= recordHeaderLength, bytes[start..<start + 4].elementsEqual(mark) else {
            return nil
        }
        let head = bytes[start..<start + recordHeaderLength]
        let length = Int(number(head, at: 16) as UInt32)
        let first = start + recordHeaderLength
        guard let kind = Kind(rawValue: head[start + 4]), length <= bytes.count - first else { return nil }
        let payload = bytes[first..<first + length]
        guard number(head, at: 20) == checksum(salt: salt, head: head[start + 4..<start + 20], payload: payload) else {
            return nil
        }
        return Record(kind: kind, sequence: number(head, at: 8), payload: first..<first + length)
    }

    private static func checksum(salt: UInt32, head: ArraySlice<UInt8>, payload: ArraySlice<UInt8>) -> UInt32 {
        var sum = CRC32C()
        sum.update((0..<4).map { UInt8(truncatingIfNeeded: salt >> (24 - 8 * UInt32($0))) })
        sum.update(head)
        sum.update(payload)
        return sum.value
    }

    private static func number<Number: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, at offset: Int) -> Number {
        let start = bytes.startIndex + offset
        return bytes[start..<start + Number.bitWidth / 8].reduce(0) { $0 << 8 | Number($1) }
    }
}

/// The checksum of the spool's records: CRC-32C (Castagnoli), as iSCSI and ext4 use it.
struct CRC32C {
    /// The remainder of each byte by the reflected polynomial.
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { remainder, _ in
            remainder & 1 == 1 ? remainder >> 1 ^ 0x82F6_3B78 : remainder >> 1
        }
    }

    private var remainder: UInt32 = .max

    /// The checksum of the bytes so far.
    var value: UInt32 { ~remainder }

    mutating func update(_ bytes: some Sequence<UInt8>) {
        let table = Self.table
        var remainder = remainder
        for byte in bytes { remainder = table[Int(UInt8(truncatingIfNeeded: remainder) ^ byte)] ^ remainder >> 8 }
        self.remainder = remainder
    }

    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var sum = CRC32C()
        sum.update(bytes)
        return sum.value
    }
}

/// The entries in the bytes of a spool's file, however the last process that wrote it ended.
struct SpoolScan {
    /// The file's salt.
    let salt: UInt32
    /// The entries that are not confirmed, in order.
    private(set) var entries: [SpoolIndex.Entry] = []
    /// The sequence number up to which all entries are confirmed.
    private(set) var confirmed: UInt64 = 0
    /// The highest sequence number in the file.
    private(set) var lastSequence: UInt64 = 0
    /// The end of the last intact record.
    private(set) var end = SpoolFormat.headerLength
    /// The number of bytes behind it: the rest of a write that a crash interrupted, and that was never reported as
    /// done.
    private(set) var tornBytes = 0
    /// The number of bytes between intact records that belong to none.
    private(set) var damagedBytes = 0
    /// The most unconfirmed entries that the damage can have taken, by the sequence numbers around it.
    private(set) var lostEntries = 0

    /// Reads a file's bytes.
    ///
    /// - Throws: ``SpoolFormat/NotASpool`` for bytes of another kind or version.
    init(_ bytes: [UInt8]) throws(SpoolFormat.NotASpool) {
        salt = try SpoolFormat.salt(of: bytes)
        var position = end
        while position < bytes.count {
            guard let record = SpoolFormat.record(in: bytes, at: position, salt: salt) else {
                position = Self.nextMark(in: bytes, after: position)
                continue
            }
            damagedBytes += position - end
            add(record, at: position)
            end = record.payload.upperBound
            position = end
        }
        tornBytes = bytes.count - end
        let confirmed = confirmed
        entries.removeAll { $0.sequence <= confirmed }
        lastSequence = max(lastSequence, confirmed)
        if damagedBytes > 0 { lostEntries = Int(clamping: lastSequence - confirmed) - entries.count }
    }

    private mutating func add(_ record: SpoolFormat.Record, at offset: Int) {
        switch record.kind {
        case .confirmed: confirmed = max(confirmed, record.sequence)
        // One that isn't higher is the rest of a failed write.
        case .entry where record.sequence > lastSequence:
            let length = record.payload.upperBound - offset
            entries.append(SpoolIndex.Entry(sequence: record.sequence, offset: offset, length: length))
            lastSequence = record.sequence
        case .entry: break
        }
    }

    private static func nextMark(in bytes: [UInt8], after position: Int) -> Int {
        var next = position + 1
        while next < bytes.count {
            if bytes[next] == SpoolFormat.mark[0], bytes[next...].starts(with: SpoolFormat.mark) { return next }
            next += 1
        }
        return bytes.count
    }
}
