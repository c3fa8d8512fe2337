import DequeModule

/// The spool's file with its index.
///
/// All operations on the file are done in an order in which a crash at any point loses nothing.
struct SpoolLog {
    /// Smaller files are not worth the copy that compacting makes.
    private static let smallestCompaction = 1 << 20

    let storage: any SpoolStorage
    /// The most bytes that the file may have.
    let limit: Int
    private(set) var index: SpoolIndex
    /// The state in which the file was found.
    let recovery: Recovery
    /// True if a failed write may have left bytes behind the log's end.
    private var isDirty = false

    /// The state in which a file was found.
    struct Recovery: Sendable, Hashable {
        var waiting = 0
        var tornBytes = 0
        var damagedBytes = 0
        var lostEntries = 0
        /// The name under which the damaged file is kept.
        var quarantinedTo: String?
    }

    /// The usage of the file.
    struct Use: Sendable, Hashable {
        /// The number of waiting entries.
        var waiting: Int
        /// The file's length.
        var bytes: Int
        /// The number of bytes of records for which it has room.
        var room: Int
    }

    /// Opens the file, and repairs what a crash left.
    ///
    /// - Parameter quarantineName: The new name of the file if it is damaged.
    /// - Throws: ``SpoolFormat/NotASpool``, and the storage's errors; then the file is unchanged.
    init(_ storage: any SpoolStorage, limit: Int, newSalt: UInt32, quarantineName: String) throws {
        self.storage = storage
        self.limit = limit
        var bytes = try storage.load()
        if bytes.isEmpty {
            bytes = SpoolFormat.header(salt: newSalt)
            try storage.replace(with: bytes, keepingOldAs: nil)
        }
        let scan = try SpoolScan(bytes)
        index = SpoolIndex(scan)
        var recovery = Recovery(
            waiting: scan.entries.count,
            tornBytes: scan.tornBytes,
            damagedBytes: scan.damagedBytes,
            lostEntries: scan.lostEntries
        )
        if scan.damagedBytes > 0 {
            recovery.quarantinedTo = quarantineName
            let sound = scan.entries.flatMap { bytes[$0.offset..<$0.end] }
            try storage.replace(with: index.preamble + sound, keepingOldAs: quarantineName)
            index = SpoolIndex(try SpoolScan(index.preamble + sound))
        } else if scan.tornBytes > 0 {
            try storage.truncate(to: scan.end)
            try storage.synchronize()
        }
        self.recovery = recovery
    }

    /// The usage of the file.
    var use: Use {
        let room = limit - (isWorthCompacting ? index.preamble.count + index.live.count : index.end)
        return Use(waiting: index.entries.count, bytes: index.end, room: room)
    }

    /// True if compacting frees enough room for its cost.
    private var isWorthCompacting: Bool { index.end - index.live.count > limit / 4 }

    /// Writes entries, and returns when they are durable; for each its result.
    mutating func append(_ payloads: [[UInt8]]) -> [Result<Void, any Error>] {
        let total = payloads.reduce(0) { $0 + $1.count + SpoolFormat.recordHeaderLength }
        if index.end + total > limit, isWorthCompacting { try? compact() }
        var free = limit - index.end
        var fitting: [[UInt8]] = []
        let fits = payloads.map { payload in
            let size = payload.count + SpoolFormat.recordHeaderLength
            guard size <= free else { return false }
            free -= size
            fitting.append(payload)
            return true
        }
        let written = Result { try write(fitting) }
        return fits.map { $0 ? written : .failure(SpoolRoomExceeded(description: "The spool is full.")) }
    }

    private mutating func write(_ payloads: [[UInt8]]) throws {
        guard !payloads.isEmpty else { return }
        try clean()
        let (bytes, entries) = index.records(of: payloads)
        do {
            isDirty = true
            try storage.write(bytes, at: index.end)
            try storage.synchronize()
            isDirty = false
        } catch {
            try? clean()
            throw error
        }
        index.appended(entries)
    }

    /// Cuts off the rest of a failed write.
    ///
    /// Otherwise it would stand behind the next, shorter write and might look intact.
    private mutating func clean() throws {
        guard isDirty else { return }
        try storage.truncate(to: index.end)
        try storage.synchronize()
        isDirty = false
    }

    /// Records that the broker has entries.
    ///
    /// After an error nothing is lost; but after a crash the entries would be sent again.
    mutating func settle(_ sequences: Set<UInt64>) throws {
        guard index.settle(sequences) else { return }
        try clean()
        if index.entries.isEmpty { return try empty() }
        let isMostlyDead = index.end - index.live.count > max(index.live.count, min(Self.smallestCompaction, limit / 2))
        // On a full disk there is no room for a copy.
        if isMostlyDead, (try? compact()) != nil { return }
        // Not synchronized: after a loss of power a few more jobs would be sent again.
        if index.end + SpoolFormat.recordHeaderLength <= limit { try mark() }
    }

    private mutating func mark() throws {
        isDirty = true
        try storage.write(index.marker, at: index.end)
        isDirty = false
        index.wroteMarker()
    }

    /// Cuts the file to its header, when all its entries are settled.
    private mutating func empty() throws {
        try storage.truncate(to: SpoolFormat.headerLength)
        index.emptied()
        try mark()
        try storage.synchronize()
    }

    private mutating func compact() throws {
        try storage.replace(with: index.preamble + storage.read(index.live), keepingOldAs: nil)
        index.compacted()
    }

    /// The payloads of the next entries to send, under their sequence numbers.
    func next(_ count: Int, bytes: Int) throws -> [(sequence: UInt64, payload: [UInt8])] {
        try index.next(count, bytes: bytes).map { entry in
            let record = try storage.read(entry.offset..<entry.end)
            return (entry.sequence, Array(record.dropFirst(SpoolFormat.recordHeaderLength)))
        }
    }
}

/// The places of the unconfirmed entries in a spool's file, and of the next record, known without reading the file.
struct SpoolIndex {
    /// The place of an entry in the file.
    struct Entry: Sendable, Hashable {
        let sequence: UInt64
        /// The start of its record.
        var offset: Int
        /// The length of its record.
        let length: Int
        /// True if the broker has it, though an earlier one may still wait.
        var isSettled = false

        var end: Int { offset + length }
    }

    let salt: UInt32
    /// The entries from the first that is not settled, in order.
    private(set) var entries: Deque<Entry> = []
    /// All entries up to this sequence number are settled.
    private(set) var confirmed: UInt64
    /// The offset of the next record.
    private(set) var end: Int
    private var lastSequence: UInt64

    /// The index of the entries that a scan found.
    init(_ scan: SpoolScan) {
        salt = scan.salt
        entries = Deque(scan.entries)
        confirmed = scan.entries.first.map { $0.sequence - 1 } ?? scan.lastSequence
        end = scan.end
        lastSequence = scan.lastSequence
    }

    /// The bytes from the first entry that is not settled.
    var live: Range<Int> { (entries.first?.offset ?? end)..<end }

    /// The records of new entries, to be written at ``end``.
    ///
    /// When they are durable, call ``appended(_:)``.
    func records(of payloads: [[UInt8]]) -> (bytes: [UInt8], entries: [Entry]) {
        var bytes: [UInt8] = []
        var entries: [Entry] = []
        for (number, payload) in payloads.enumerated() {
            let sequence = lastSequence + 1 + UInt64(number)
            let record = SpoolFormat.record(.entry, sequence, payload, salt: salt)
            entries.append(Entry(sequence: sequence, offset: end + bytes.count, length: record.count))
            bytes += record
        }
        return (bytes, entries)
    }

    mutating func appended(_ new: [Entry]) {
        entries.append(contentsOf: new)
        end = new.last?.end ?? end
        lastSequence = new.last?.sequence ?? lastSequence
    }

    /// Marks entries as settled, and removes those before the first that isn't.
    ///
    /// Returns whether ``confirmed`` changed.
    mutating func settle(_ sequences: Set<UInt64>) -> Bool {
        let before = confirmed
        let last = sequences.max() ?? 0
        for index in entries.indices {
            let sequence = entries[index].sequence
            if sequence > last { break }
            if sequences.contains(sequence) { entries[index].isSettled = true }
        }
        while let first = entries.first, first.isSettled {
            confirmed = first.sequence
            entries.removeFirst()
        }
        return confirmed != before
    }

    /// The first entries that aren't settled: at most `count`, with at most `bytes` together, but at least one.
    func next(_ count: Int, bytes: Int) -> [Entry] {
        var found: [Entry] = []
        var room = bytes
        for entry in entries where !entry.isSettled {
            guard found.count < count, found.isEmpty || entry.length <= room else { break }
            room -= entry.length
            found.append(entry)
        }
        return found
    }

    /// The record of ``confirmed``.
    var marker: [UInt8] { SpoolFormat.record(.confirmed, confirmed, salt: salt) }

    mutating func wroteMarker() { end += SpoolFormat.recordHeaderLength }

    /// The beginning of a new file, before the live entries.
    var preamble: [UInt8] { SpoolFormat.header(salt: salt) + marker }

    /// All entries are settled, and the file was cut to its header.
    mutating func emptied() { end = SpoolFormat.headerLength }

    /// The live entries now follow the ``preamble`` directly.
    mutating func compacted() {
        let shift = live.lowerBound - preamble.count
        end -= shift
        for index in entries.indices { entries[index].offset -= shift }
    }
}
