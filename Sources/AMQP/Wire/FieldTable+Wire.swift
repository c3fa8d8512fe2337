extension FieldTable {
    /// The table as AMQP sends it, its length in four bytes first.
    ///
    /// - Throws: `invalidArgument` if a name is longer than 255 bytes or the table exceeds `limits`.
    public func encoded(limits: WireLimits = .standard) throws(AMQPError) -> [UInt8] {
        var writer = WireWriter(capacity: 64 + 24 * count)
        try writer.write(self, limits: limits)
        return writer.bytes
    }

    /// The table that these bytes are, length first, with nothing after it.
    ///
    /// - Throws: `malformed` with the field's name and what is wrong with it; see ``WireReader/readFieldTable(limits:)``.
    public init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws(AMQPError) {
        var reader = WireReader(bytes)
        self = try reader.readFieldTable(limits: limits)
        try reader.expectEnd(after: "A field table")
    }
}

extension WireReader {
    func expectEnd(after what: String) throws(AMQPError) {
        guard remaining == 0 else {
            throw AMQPError(.malformed, "\(what) is followed by \(remaining) bytes that belong to nothing.")
        }
    }
}
