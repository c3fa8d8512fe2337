/// Tells whether a table holds a name already, without comparing each name with all the others.
package struct SeenNames {
    /// A bit for each name seen: most new names find their bit unset.
    ///
    /// A name outside ASCII can be equal to one in it (the Kelvin sign and `K`), so it sets, and looks at, all bits.
    private var sketch: UInt64 = 0
    /// The names themselves, once there are many.
    private var names: Set<String> = []

    private static let few = 64

    package init() {}

    /// True for a name that `table` doesn't hold; each of the table's names must have been asked for before.
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
