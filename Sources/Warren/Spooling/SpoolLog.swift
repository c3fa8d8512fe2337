import DequeModule

/// The spool's file and what is known of it: everything that is done to it, in the order that a crash at any point loses nothing.
struct SpoolLog {
    /// Compacting smaller files is not worth their copy.
    private static let smallestCompaction = 1 << 20

    let storage: any SpoolStorage
    /// How long the file may become.
    let limit: Int
    private(set) var index: SpoolIndex
    /// What was found at the start.
    let recovery: Recovery
    /// Whether a failed write may have left something behind the log's end.
    private var isDirty = false

    /// What was found in a file that a process left.
    struct Recovery: Sendable, Hashable {
        var waiting = 0
        var tornBytes = 0
        var damagedBytes = 0
        var lostEntries = 0
        /// Where the damaged file is kept.
        var quarantinedTo: String?
    }

    /// How far a file is used.
    struct Use: Sendable, Hashable {
        /// How many entries wait in it.
        var waiting: Int
        /// How long it is.
        var bytes: Int
        /// How many more bytes of records it takes.
        var room: Int
    }

    /// Opens the file, and makes good what the last process left undone.
    ///
    /// - Parameter quarantineName: What to call the file if it is damaged.
    /// - Throws: ``SpoolFormat/NotASpool``, and what the storage throws; the file is as before then.
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

    /// How far the file is used.
    var use: Use {
        let room = limit - (isWorthCompacting ? index.preamble.count + index.live.count : index.end)
        return Use(waiting: index.entries.count, bytes: index.end, room: room)
    }

    /// Whether compacting gives enough room for what it costs.
    private var isWorthCompacting: Bool { index.end - index.live.count > limit / 4 }

    /// Writes entries, and returns when they are durable: for each whether it is, or why not.
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

    /// Cuts what a failed write left: else it would stand behind a shorter one, and might look sound.
    private mutating func clean() throws {
        guard isDirty else { return }
        try storage.truncate(to: index.end)
        try storage.synchronize()
        isDirty = false
    }

    /// Notes that the broker has entries.
    ///
    /// An error costs nothing but that a crash would make them be sent again.
    mutating func settle(_ sequences: Set<UInt64>) throws {
        guard index.settle(sequences) else { return }
        try clean()
        if index.entries.isEmpty { return try empty() }
        let isMostlyDead = index.end - index.live.count > max(index.live.count, min(Self.smallestCompaction, limit / 2))
        // On a full disk there is no room for a copy.
        if isMostlyDead, (try? compact()) != nil { return }
        // Not synchronized: after a loss of power a few jobs more would be sent again.
        if index.end + SpoolFormat.recordHeaderLength <= limit { try mark() }
    }

    private mutating func mark() throws {
        isDirty = true
        try storage.write(index.marker, at: index.end)
        isDirty = false
        index.wroteMarker()
    }

    /// Cuts the file to its header, whatever is in it having been settled.
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

/// What a process knows of its spool's file without reading it: where each unconfirmed entry is, and where the next record goes.
struct SpoolIndex {
    /// Where an entry stands in the spool's file.
    struct Entry: Sendable, Hashable {
        let sequence: UInt64
        /// Where its record begins.
        var offset: Int
        /// How long the record is.
        let length: Int
        /// Whether the broker has it, though an earlier one may still wait.
        var isSettled = false

        var end: Int { offset + length }
    }

    let salt: UInt32
    /// The entries from the first that is not settled, in order.
    private(set) var entries: Deque<Entry> = []
    /// All entries up to this sequence number are settled.
    private(set) var confirmed: UInt64
    /// Where the next record goes.
    private(set) var end: Int
    private var lastSequence: UInt64

    /// The log that a scan found.
    init(_ scan: SpoolScan) {
        salt = scan.salt
        entries = Deque(scan.entries)
        confirmed = scan.entries.first.map { $0.sequence - 1 } ?? scan.lastSequence
        end = scan.end
        lastSequence = scan.lastSequence
    }

    /// The bytes from the first entry that is not settled.
    var live: Range<Int> { (entries.first?.offset ?? end)..<end }

    /// The records of new entries, to be written at ``end``, and their entries; ``appended(_:)`` when they are durable.
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

    /// Notes that entries are settled, and forgets those before which none is not.
    ///
    /// Returns whether ``confirmed`` moved.
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

    /// The first entries that are not settled: at most `count`, and of not more than `bytes` together, but at least one.
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

    /// The record that says what is confirmed.
    var marker: [UInt8] { SpoolFormat.record(.confirmed, confirmed, salt: salt) }

    mutating func wroteMarker() { end += SpoolFormat.recordHeaderLength }

    /// What a new file begins with, before the live entries.
    var preamble: [UInt8] { SpoolFormat.header(salt: salt) + marker }

    /// All are settled, and the file was cut to its header.
    mutating func emptied() { end = SpoolFormat.headerLength }

    /// The live entries now stand right behind the ``preamble``.
    mutating func compacted() {
        let shift = live.lowerBound - preamble.count
        end -= shift
        for index in entries.indices { entries[index].offset -= shift }
    }
}
