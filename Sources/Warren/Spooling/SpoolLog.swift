import DequeModule

/// What a process knows of its spool's file without reading it: where each unconfirmed entry is, and where the next record goes.
struct SpoolLog {
    let salt: UInt32
    /// The entries from the first that is not settled, in order.
    private(set) var places: Deque<SpoolPlace> = []
    /// All entries up to this sequence number are settled.
    private(set) var confirmed: UInt64
    /// Where the next record goes.
    private(set) var end: Int
    private var lastSequence: UInt64

    /// The log that a scan found.
    init(_ scan: SpoolScan) {
        salt = scan.salt
        places = Deque(scan.entries)
        confirmed = scan.entries.first.map { $0.sequence - 1 } ?? scan.lastSequence
        end = scan.end
        lastSequence = scan.lastSequence
    }

    /// The bytes from the first entry that is not settled.
    var live: Range<Int> { (places.first?.offset ?? end)..<end }

    /// The records of new entries, to be written at ``end``, and their places; ``appended(_:)`` when they are durable.
    func records(of payloads: [[UInt8]]) -> (bytes: [UInt8], places: [SpoolPlace]) {
        var bytes: [UInt8] = []
        var places: [SpoolPlace] = []
        for (number, payload) in payloads.enumerated() {
            let sequence = lastSequence + 1 + UInt64(number)
            let record = SpoolFormat.record(.entry, sequence, payload, salt: salt)
            places.append(SpoolPlace(sequence: sequence, offset: end + bytes.count, length: record.count))
            bytes += record
        }
        return (bytes, places)
    }

    mutating func appended(_ new: [SpoolPlace]) {
        places.append(contentsOf: new)
        end = new.last?.end ?? end
        lastSequence = new.last?.sequence ?? lastSequence
    }

    /// Notes that entries are settled, and forgets those before which none is not.
    ///
    /// Returns whether ``confirmed`` moved.
    mutating func settle(_ sequences: Set<UInt64>) -> Bool {
        let before = confirmed
        let last = sequences.max() ?? 0
        for index in places.indices {
            let sequence = places[index].sequence
            if sequence > last { break }
            if sequences.contains(sequence) { places[index].isSettled = true }
        }
        while let first = places.first, first.isSettled {
            confirmed = first.sequence
            places.removeFirst()
        }
        return confirmed != before
    }

    /// The first entries that are not settled: at most `count`, and of not more than `bytes` together, but at least one.
    func next(_ count: Int, bytes: Int) -> [SpoolPlace] {
        var found: [SpoolPlace] = []
        var room = bytes
        for place in places where !place.isSettled {
            guard found.count < count, found.isEmpty || place.length <= room else { break }
            room -= place.length
            found.append(place)
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
        for index in places.indices { places[index].offset -= shift }
    }
}
