import AMQP

/// Whether two values are the same to the bit: unlike `==`, a NaN is the same as itself, and strings are compared by their bytes.
func sameBits(_ one: FieldValue, _ other: FieldValue) -> Bool {
    switch (one, other) {
    case (.float(let one), .float(let other)): one.bitPattern == other.bitPattern
    case (.double(let one), .double(let other)): one.bitPattern == other.bitPattern
    case (.string(let one), .string(let other)): one.utf8.elementsEqual(other.utf8)
    case (.array(let one), .array(let other)): one.count == other.count && zip(one, other).allSatisfy(sameBits)
    case (.table(let one), .table(let other)): sameBits(one, other)
    default: one == other
    }
}

/// Whether two tables have the same entries in the same order, to the bit.
func sameBits(_ one: FieldTable, _ other: FieldTable) -> Bool {
    one.count == other.count
        && zip(one, other).allSatisfy { $0.name.utf8.elementsEqual($1.name.utf8) && sameBits($0.value, $1.value) }
}
