/// What the bytes of a spool's file say, however the last process that wrote them ended.
struct SpoolScan {
    /// The file's salt.
    let salt: UInt32
    /// The entries that are not confirmed, in order.
    private(set) var entries: [SpoolPlace] = []
    /// The sequence number up to which all entries are confirmed.
    private(set) var confirmed: UInt64 = 0
    /// The highest sequence number in the file.
    private(set) var lastSequence: UInt64 = 0
    /// Where the last sound record ends.
    private(set) var end = SpoolFormat.headerLength
    /// How many bytes follow it: what a crash left of the last write, which nobody was told had succeeded.
    private(set) var tornBytes = 0
    /// How many bytes between sound records belong to none.
    private(set) var damagedBytes = 0
    /// How many unconfirmed entries the damage took at most, as the sequence numbers around it tell.
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
            take(record, at: position)
            end = record.payload.upperBound
            position = end
        }
        tornBytes = bytes.count - end
        let confirmed = confirmed
        entries.removeAll { $0.sequence <= confirmed }
        lastSequence = max(lastSequence, confirmed)
        if damagedBytes > 0 { lostEntries = Int(clamping: lastSequence - confirmed) - entries.count }
    }

    private mutating func take(_ record: SpoolFormat.Record, at offset: Int) {
        switch record.kind {
        case .confirmed: confirmed = max(confirmed, record.sequence)
        // One that is not higher is the rest of a write that failed.
        case .entry where record.sequence > lastSequence:
            let length = record.payload.upperBound - offset
            entries.append(SpoolPlace(sequence: record.sequence, offset: offset, length: length))
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
