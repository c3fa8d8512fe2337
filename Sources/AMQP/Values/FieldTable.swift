/// An AMQP field table: named values, as in message headers and in the arguments of a queue.
///
/// Entries keep the order in which they were set, which is the order on the wire. Two tables are equal when they hold
/// the same names and values in any order. Tables are small (tens of entries), so a lookup scans them, which is faster
/// than hashing. A received table is decoded on access.
public struct FieldTable: Sendable {
    private enum Form {
        case entries([Element])
        case encoded(EncodedTable)
    }

    private var form: Form

    /// An empty table.
    public init() { form = .entries([]) }

    /// A table with room for `capacity` entries.
    public init(minimumCapacity capacity: Int) {
        var entries: [Element] = []
        entries.reserveCapacity(capacity)
        form = .entries(entries)
    }

    /// A table from its entries on the wire, without the length in front of them.
    ///
    /// Returns `nil` if they can't be read. Also if a table among them is unusual, with a name that isn't ASCII or is
    /// there twice, or with more than 128 entries: then decode them.
    package init?(entries bytes: [UInt8], limits: WireLimits = .standard) {
        guard let table = EncodedTable(bytes, within: limits) else { return nil }
        form = .encoded(table)
    }

    /// The value of the entry with this name.
    ///
    /// Setting `nil` removes the entry; setting a value keeps an existing entry's place.
    public subscript(name: String) -> FieldValue? {
        get {
            // Only names in ASCII are equal to them octet by octet, since text is compared by its characters.
            if case .encoded(let table) = form, name.utf8.allSatisfy({ $0 < 128 }) { return table.value(named: name) }
            return first { $0.name == name }?.value
        }
        set {
            changeEntries { entries in
                let index = entries.firstIndex { $0.name == name }
                switch (index, newValue) {
                case (let index?, let value?): entries[index].value = value
                case (let index?, nil): entries.remove(at: index)
                case (nil, let value?): entries.append((name, value))
                case (nil, nil): break
                }
            }
        }
    }

    /// Appends an entry whose name the caller knows to be new, without looking for a duplicate.
    package mutating func append(_ value: FieldValue, uniqueName name: String) {
        changeEntries { $0.append((name, value)) }
    }

    /// Removes every entry for which `condition` is true.
    public mutating func removeAll(where condition: (_ name: String, _ value: FieldValue) -> Bool) {
        changeEntries { entries in entries.removeAll { condition($0.name, $0.value) } }
    }

    private mutating func changeEntries(_ change: (inout [Element]) -> Void) {
        var entries =
            switch form {
            case .entries(let entries): entries
            case .encoded: Array(self)
            }
        // So that `entries` is the only reference to its memory.
        form = .entries([])
        change(&entries)
        form = .entries(entries)
    }

    /// This table with the entries of `other` set over its own.
    public func merging(_ other: FieldTable) -> FieldTable {
        var merged = self
        for (name, value) in other { merged[name] = value }
        return merged
    }
}

extension FieldTable: Collection {
    /// A name and its value.
    public typealias Element = (name: String, value: FieldValue)

    /// The position of an entry.
    public struct Index: Comparable, Sendable {
        /// The number of the entry, or its offset on the wire.
        fileprivate var place: Int

        /// True if the first position is before the second.
        public static func < (one: Index, other: Index) -> Bool { one.place < other.place }
    }

    /// The position of the first entry.
    public var startIndex: Index { Index(place: 0) }

    /// The position after the last entry.
    public var endIndex: Index {
        switch form {
        case .entries(let entries): Index(place: entries.count)
        case .encoded(let table): Index(place: table.bytes.count)
        }
    }

    /// The position after another.
    public func index(after index: Index) -> Index {
        switch form {
        case .entries: Index(place: index.place + 1)
        case .encoded(let table): Index(place: table.offset(after: index.place))
        }
    }

    /// The entry at a position.
    public subscript(position: Index) -> Element {
        switch form {
        case .entries(let entries): entries[position.place]
        case .encoded(let table): table.entry(at: position.place)
        }
    }

    /// The number of entries.
    public var count: Int {
        switch form {
        case .entries(let entries): entries.count
        case .encoded(let table): table.count
        }
    }
}

extension FieldTable {
    /// The number of bytes that the table takes on the wire.
    package var wireSize: Int {
        switch form {
        case .entries(let entries): entries.reduce(4) { $0 + 1 + $1.name.utf8.count + $1.value.wireSize }
        case .encoded(let table): 4 + table.bytes.count
        }
    }

    /// Returns whether tables and arrays are nested in it for more than `levels`, itself the first.
    package func isDeeper(than levels: Int) -> Bool {
        switch form {
        case .entries(let entries): levels == 0 || entries.contains { $0.value.isDeeper(than: levels - 1) }
        case .encoded(let table): table.extent.depth > levels
        }
    }
}

extension FieldTable: ExpressibleByDictionaryLiteral {
    /// A table of these entries; of two with the same name, the later one wins.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        self.init(minimumCapacity: elements.count)
        for (name, value) in elements { self[name] = value }
    }
}

extension FieldTable: Hashable {
    /// True if both hold the same names and values, in any order.
    public static func == (one: FieldTable, other: FieldTable) -> Bool {
        one.count == other.count && one.allSatisfy { other[$0.name] == $0.value }
    }

    /// Feeds the entries into `hasher` sorted by name, so that equal tables have equal hashes.
    public func hash(into hasher: inout Hasher) {
        for entry in sorted(by: { $0.name < $1.name }) {
            hasher.combine(entry.name)
            hasher.combine(entry.value)
        }
    }
}

extension FieldTable {
    /// The name of the header that a transport adds to a message from which it had to omit headers; its text gives the
    /// reason.
    ///
    /// Foreign headers may exceed 32 levels or 65,536 values. Such a message is still delivered, with the headers that
    /// can be read, so that its consumer can set it aside.
    public static let omittedHeaders = "warren-omitted-headers"
}

extension FieldTable {
    /// Throws if AMQP can't encode the table, or if RabbitMQ would close the connection on receiving it.
    ///
    /// RabbitMQ does so for an infinite number or NaN: Erlang has no such numbers, and the broker fails with 541 (tried
    /// with 3.10.8 and 4.3.6).
    ///
    /// - Parameters:
    ///   - subject: What holds the table, for the error message.
    ///   - field: The table's name there.
    /// - Throws: `invalidArgument`, naming the entry, what is wrong with it, and what to do.
    package func validate(_ subject: @autoclosure () -> String, _ field: String = "arguments") throws(AMQPError) {
        do throws(WireFault) {
            var room = WireLimits.standard
            try validate(&room)
        } catch { throw error.inside(field).error(.invalidArgument, "\(subject()) can't be sent") }
    }

    private func validate(_ room: inout WireLimits) throws(WireFault) {
        if case .encoded(let table) = form, !table.mayHoldInfinity, room.takes(table.extent) { return }
        try room.enter()
        for (name, value) in self {
            do throws(WireFault) {
                try room.count()
                guard name.utf8.count <= ShortString.maximumLength else {
                    throw WireFault("its name has \(name.utf8.count) bytes; AMQP allows \(ShortString.maximumLength).")
                }
                try Self.validate(value, &room)
            } catch { throw error.inside(name) }
        }
        room.leave()
    }

    private static func validate(_ value: FieldValue, _ room: inout WireLimits) throws(WireFault) {
        switch value {
        case .float(let number) where !number.isFinite: throw notFinite("\(number)")
        case .double(let number) where !number.isFinite: throw notFinite("\(number)")
        case .table(let table): try table.validate(&room)
        case .array(let elements):
            try room.enter()
            for index in elements.indices {
                do throws(WireFault) {
                    try room.count()
                    try validate(elements[index], &room)
                } catch { throw error.inside(index) }
            }
            room.leave()
        default: break
        }
    }

    private static func notFinite(_ number: String) -> WireFault {
        WireFault("is \(number), which RabbitMQ can't read. Send it as text.")
    }
}

extension FieldTable {
    /// A table from its entries on the wire, without those from the first that can't be read.
    init(decodingEntries bytes: [UInt8]) {
        var reader = WireReader(bytes)
        self.init()
        while let (name, value) = try? reader.entry() {
            if self[name] == nil { append(value, uniqueName: name) }
        }
    }

    /// The number of entries and array elements on all levels, if it is known.
    fileprivate var valueCount: Int {
        switch form {
        case .entries: 0
        case .encoded(let table): table.extent.values
        }
    }

    /// Writes the table as it was received, and returns true, if it still is.
    fileprivate func write(to writer: inout WireWriter, within room: inout WireLimits) throws(WireFault) -> Bool {
        guard case .encoded(let table) = form, room.takes(table.extent) else { return false }
        try writer.write(long: table.bytes)
        return true
    }

    /// Encodes the table as AMQP does: its length in four bytes, then the entries.
    ///
    /// - Throws: `invalidArgument` if a name is longer than 255 bytes or the table exceeds `limits`.
    package func encoded(limits: WireLimits = .standard) throws(AMQPError) -> [UInt8] {
        var writer = WireWriter(capacity: 64 + 24 * count)
        try writer.write(self, limits: limits)
        return writer.bytes
    }

    /// Decodes a table, length first, that fills `bytes` to the end.
    ///
    /// - Throws: `malformed` with the field's name and what is wrong with it; see
    ///   ``WireReader/readFieldTable(limits:)``.
    package init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws(AMQPError) {
        var reader = WireReader(bytes)
        self = try reader.readFieldTable(limits: limits)
        try reader.expectEnd(after: "A field table")
    }
}

extension WireReader {
    /// Reads a field table.
    ///
    /// Of two entries with the same name the first wins, as in the broker. `L` is read as a signed 64-bit integer, and
    /// a string whose octets are not UTF-8 as bytes.
    ///
    /// - Throws: `malformed` with the field's name and what is wrong with it: the bytes end too early, a name is not
    ///   UTF-8, a type is unknown, or the table exceeds `limits`.
    package mutating func readFieldTable(limits: WireLimits = .standard) throws(AMQPError) -> FieldTable {
        do throws(WireFault) {
            var room = limits
            return try table(&room)
        } catch { throw error.error(.malformed, "A field table") }
    }

    mutating func table(_ room: inout WireLimits) throws(WireFault) -> FieldTable {
        try room.enter()
        let outer = try narrow()
        defer { widen(to: outer) }
        if let table = FieldTable(entries: Array(rest), limits: WireLimits(depth: room.depth + 1, values: room.values))
        {
            room.values -= table.valueCount
            skipRest()
            room.leave()
            return table
        }
        let table = try entries(&room)
        room.leave()
        return table
    }

    /// Reads entries to the end, one by one; of two with the same name the first wins.
    fileprivate mutating func entries(_ room: inout WireLimits) throws(WireFault) -> FieldTable {
        var table = FieldTable(minimumCapacity: Swift.min(remaining / 8, 32))
        var names = SeenNames()
        while remaining > 0 {
            try room.count()
            let name: String
            do throws(WireFault) { name = try shortString() } catch { throw error.inside("name \(table.count)") }
            do throws(WireFault) {
                let value = try field(&room)
                if names.isNew(name, in: table) { table.append(value, uniqueName: name) }
            } catch { throw error.inside(name) }
        }
        return table
    }

    /// Reads an entry of a table.
    mutating func entry() throws(WireFault) -> (name: String, value: FieldValue) {
        (try shortString(), try value())
    }

    /// Reads a value, its tag first.
    mutating func value() throws(WireFault) -> FieldValue {
        var room = WireLimits.standard
        return try field(&room)
    }

    private mutating func array(_ room: inout WireLimits) throws(WireFault) -> [FieldValue] {
        try room.enter()
        let outer = try narrow()
        var elements: [FieldValue] = []
        while remaining > 0 {
            do throws(WireFault) {
                try room.count()
                elements.append(try field(&room))
            } catch { throw error.inside(elements.count) }
        }
        widen(to: outer)
        room.leave()
        return elements
    }

    private mutating func field(_ room: inout WireLimits) throws(WireFault) -> FieldValue {
        let tag: UInt8 = try number()
        switch tag {
        case FieldTag.string: return textOrBytes(try longString())
        case FieldTag.bool: return .bool(try number(UInt8.self) != 0)
        case FieldTag.int8: return .int8(try number())
        case FieldTag.uint8: return .uint8(try number())
        case FieldTag.int16: return .int16(try number())
        case FieldTag.uint16: return .uint16(try number())
        case FieldTag.int32: return .int32(try number())
        case FieldTag.uint32: return .uint32(try number())
        case FieldTag.int64, FieldTag.otherInt64: return .int64(try number())
        case FieldTag.float: return .float(Float(bitPattern: try number()))
        case FieldTag.double: return .double(Double(bitPattern: try number()))
        case FieldTag.decimal: return .decimal(FieldDecimal(scale: try number(), value: try number()))
        case FieldTag.bytes: return .bytes(Array(try longString()))
        case FieldTag.timestamp: return .timestamp(try number())
        case FieldTag.array: return .array(try array(&room))
        case FieldTag.table: return .table(try table(&room))
        case FieldTag.void: return .void
        default: throw WireFault("has type \(tag) ('\(Character(UnicodeScalar(tag)))'), which AMQP doesn't define.")
        }
    }

    private func textOrBytes(_ octets: ArraySlice<UInt8>) -> FieldValue {
        Self.text(octets).map(FieldValue.string) ?? .bytes(Array(octets))
    }
}

extension WireWriter {
    /// Writes a field table: its length in four bytes, then each entry's name, type letter and value.
    ///
    /// - Throws: `invalidArgument` if a name is longer than 255 bytes or the table exceeds `limits`; nothing is written
    ///   then.
    package mutating func write(_ table: FieldTable, limits: WireLimits = .standard) throws(AMQPError) {
        let start = bytes.count
        do throws(WireFault) {
            var room = limits
            try write(table: table, &room)
        } catch {
            truncate(to: start)
            throw error.error(.invalidArgument, "A field table can't be sent")
        }
    }

    mutating func write(table: FieldTable, _ room: inout WireLimits) throws(WireFault) {
        if try table.write(to: &self, within: &room) { return }
        try room.enter()
        let start = bytes.count
        write(UInt32(0))
        for (name, value) in table {
            do throws(WireFault) {
                try room.count()
                try write(short: name)
                try write(field: value, &room)
            } catch { throw error.inside(name) }
        }
        try fillLength(at: start)
        room.leave()
    }

    private mutating func write(array: [FieldValue], _ room: inout WireLimits) throws(WireFault) {
        try room.enter()
        let start = bytes.count
        write(UInt32(0))
        for index in array.indices {
            do throws(WireFault) {
                try room.count()
                try write(field: array[index], &room)
            } catch { throw error.inside(index) }
        }
        try fillLength(at: start)
        room.leave()
    }

    mutating func write(field value: FieldValue, _ room: inout WireLimits) throws(WireFault) {
        switch value {
        case .bool(let truth): write(FieldTag.bool, UInt8(truth ? 1 : 0))
        case .int8(let number): write(FieldTag.int8, number)
        case .uint8(let number): write(FieldTag.uint8, number)
        case .int16(let number): write(FieldTag.int16, number)
        case .uint16(let number): write(FieldTag.uint16, number)
        case .int32(let number): write(FieldTag.int32, number)
        case .uint32(let number): write(FieldTag.uint32, number)
        case .int64(let number): write(FieldTag.int64, number)
        case .float(let number): write(FieldTag.float, number.bitPattern)
        case .double(let number): write(FieldTag.double, number.bitPattern)
        case .decimal(let number):
            write(FieldTag.decimal, number.scale)
            write(number.value)
        case .string(let text):
            append(FieldTag.string)
            try write(long: text.utf8)
        case .bytes(let octets):
            append(FieldTag.bytes)
            try write(long: octets)
        case .timestamp(let seconds): write(FieldTag.timestamp, seconds)
        case .array(let elements):
            append(FieldTag.array)
            try write(array: elements, &room)
        case .table(let table):
            append(FieldTag.table)
            try write(table: table, &room)
        case .void: append(FieldTag.void)
        }
    }

    private mutating func write(_ tag: UInt8, _ number: some FixedWidthInteger) {
        append(tag)
        write(number)
    }
}

/// Finds duplicate names while a table is read, without comparing each name with all the others.
package struct SeenNames {
    /// A bit for each name seen: most new names find their bit unset.
    ///
    /// A name outside ASCII can be equal to one in it (the Kelvin sign and `K`), so it sets and checks all bits.
    private var sketch: UInt64 = 0
    /// The names themselves, once there are many.
    private var names: Set<String> = []

    private static let few = 64

    package init() {}

    /// Returns true for a name that `table` doesn't hold; each name in the table must have been passed to this method
    /// before.
    package mutating func isNew(_ name: String, in table: FieldTable) -> Bool {
        if table.count < Self.few {
            let bits = Self.bits(of: name)
            defer { sketch |= bits }
            return sketch & bits == 0 || table[name] == nil
        }
        if names.isEmpty { names = Set(table.lazy.map(\.name)) }
        return names.insert(name).inserted
    }

    private static func bits(of name: String) -> UInt64 {
        var hash: UInt32 = 5381
        for octet in name.utf8 {
            guard octet < 128 else { return .max }
            hash = hash &* 33 ^ UInt32(octet)
        }
        return 1 << UInt64((hash ^ hash >> 6 ^ hash >> 12) & 63)
    }
}
