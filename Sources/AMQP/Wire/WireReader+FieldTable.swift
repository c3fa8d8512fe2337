extension WireReader {
    /// Reads a field table.
    ///
    /// Of two entries with one name the first counts, as at the broker. `L` is read as a signed 64-bit integer, and a string whose
    /// octets are not UTF-8 as bytes.
    ///
    /// - Throws: `malformed` with the field's name and what is wrong with it: the bytes end too early, a name is not UTF-8, a type is
    ///   unknown, or the table exceeds `limits`.
    public mutating func readFieldTable(limits: WireLimits = .standard) throws(AMQPError) -> FieldTable {
        do throws(WireFault) {
            var room = limits
            return try table(&room)
        } catch { throw error.error(.malformed, "A field table") }
    }

    mutating func table(_ room: inout WireLimits) throws(WireFault) -> FieldTable {
        try room.enter()
        let outer = try narrow()
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
        widen(to: outer)
        room.leave()
        return table
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
        default: throw WireFault("has type \(tag) ('\(Character(UnicodeScalar(tag)))'), which AMQP 0-9-1 doesn't know.")
        }
    }

    private func textOrBytes(_ octets: ArraySlice<UInt8>) -> FieldValue {
        Self.text(octets).map(FieldValue.string) ?? .bytes(Array(octets))
    }
}
