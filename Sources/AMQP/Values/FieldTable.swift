/// An AMQP field table: named values, as in message headers and in the arguments of a queue.
///
/// Entries keep the order in which they were set, which is the order on the wire. Two tables are equal when they hold the same
/// names and values in any order. Tables are small (tens of entries), so a look-up walks them: that is faster than hashing.
public struct FieldTable: Sendable {
    @usableFromInline var entries: [(name: String, value: FieldValue)]

    /// An empty table.
    public init() { entries = [] }

    /// A table with room for `capacity` entries.
    public init(minimumCapacity capacity: Int) {
        entries = []
        entries.reserveCapacity(capacity)
    }

    /// The value of the entry with this name.
    ///
    /// Setting `nil` removes the entry; setting a value keeps an existing entry's place.
    @inlinable
    public subscript(name: String) -> FieldValue? {
        get {
            for entry in entries where entry.name == name { return entry.value }
            return nil
        }
        set {
            let index = entries.firstIndex { $0.name == name }
            switch (index, newValue) {
            case (let index?, let value?): entries[index].value = value
            case (let index?, nil): entries.remove(at: index)
            case (nil, let value?): entries.append((name, value))
            case (nil, nil): break
            }
        }
    }

    /// Adds an entry that the caller knows to be new, without looking for one of that name.
    @inlinable
    public mutating func append(_ value: FieldValue, uniqueName name: String) {
        entries.append((name, value))
    }

    /// Removes every entry for which `condition` is true.
    public mutating func removeAll(where condition: (_ name: String, _ value: FieldValue) -> Bool) {
        entries.removeAll { condition($0.name, $0.value) }
    }

    /// This table with the entries of `other` set over its own.
    public func merging(_ other: FieldTable) -> FieldTable {
        var merged = self
        for (name, value) in other { merged[name] = value }
        return merged
    }
}

extension FieldTable: RandomAccessCollection {
    /// The position of the first entry.
    @inlinable public var startIndex: Int { 0 }
    /// The position after the last entry.
    @inlinable public var endIndex: Int { entries.count }
    /// The entry at a position.
    @inlinable public subscript(position: Int) -> (name: String, value: FieldValue) { entries[position] }
}

extension FieldTable: ExpressibleByDictionaryLiteral {
    /// A table of these entries; of two with one name the later counts.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        self.init(minimumCapacity: elements.count)
        for (name, value) in elements { self[name] = value }
    }
}

extension FieldTable: Hashable {
    /// True if both hold the same names and values, in whatever order.
    public static func == (one: FieldTable, other: FieldTable) -> Bool {
        one.count == other.count && one.allSatisfy { other[$0.name] == $0.value }
    }

    /// Feeds the entries into `hasher` in an order of their own, so that equal tables hash alike.
    public func hash(into hasher: inout Hasher) {
        for entry in entries.sorted(by: { $0.name < $1.name }) {
            hasher.combine(entry.name)
            hasher.combine(entry.value)
        }
    }
}
