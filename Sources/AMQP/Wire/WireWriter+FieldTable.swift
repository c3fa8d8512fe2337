extension WireWriter {
    /// Writes a field table: its length in four bytes, then each entry's name, type letter and value.
    ///
    /// - Throws: `invalidArgument` if a name is longer than 255 bytes or the table exceeds `limits`; nothing is written then.
    public mutating func write(_ table: FieldTable, limits: WireLimits = .standard) throws(AMQPError) {
        let start = bytes.count
        do throws(WireFault) {
            var room = limits
            try write(table: table, &room)
        } catch {
            takeBack(to: start)
            throw error.error(.invalidArgument, "A field table can't be sent")
        }
    }

    mutating func write(table: FieldTable, _ room: inout WireLimits) throws(WireFault) {
        try room.enter()
        let start = bytes.count
        write(UInt32(0))
        for (name, value) in table.entries {
            do throws(WireFault) {
                try room.count()
                try write(short: name)
                try write(field: value, &room)
            } catch { throw error.inside(name) }
        }
        try measure(from: start)
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
        try measure(from: start)
        room.leave()
    }

    private mutating func write(field value: FieldValue, _ room: inout WireLimits) throws(WireFault) {
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

extension WireLimits {
    /// Goes one level down; what is left of the limits is kept in `self`.
    mutating func enter() throws(WireFault) {
        guard depth > 0 else { throw WireFault("is nested more deeply than the limit allows.") }
        depth -= 1
    }

    mutating func leave() { depth += 1 }

    mutating func count() throws(WireFault) {
        guard values > 0 else { throw WireFault("is one value more than the limit allows.") }
        values -= 1
    }
}
