/// Writes AMQP's elementary types as bytes, in network order, one after another.
///
/// ``WireReader`` reads what it writes. Values need no separator between them.
package struct WireWriter: Sendable {
    /// The bytes written so far.
    package private(set) var bytes: [UInt8] = []

    /// Creates a writer with room for `capacity` bytes before it has to grow.
    package init(capacity: Int = 256) {
        bytes.reserveCapacity(capacity)
    }

    /// Writes an integer in network order.
    @inlinable
    package mutating func write<Number: FixedWidthInteger>(_ number: Number) {
        var shift = Number.bitWidth - 8
        while shift >= 0 {
            append(UInt8(truncatingIfNeeded: number >> Number(truncatingIfNeeded: shift)))
            shift -= 8
        }
    }

    /// Writes a short string: its length in one byte, then its UTF-8.
    ///
    /// - Throws: `invalidArgument` if `text` is longer than 255 bytes; nothing is written then.
    package mutating func write(shortString text: String) throws(AMQPError) {
        do throws(WireFault) { try write(short: text) } catch { throw error.error(.invalidArgument, "A short string") }
    }

    /// Writes a long string: its length in four bytes, then the bytes as they are.
    ///
    /// - Throws: `invalidArgument` if there are more than 2^32 - 1 bytes; nothing is written then.
    package mutating func write(longString octets: some Collection<UInt8>) throws(AMQPError) {
        do throws(WireFault) {
            try write(long: octets)
        } catch { throw error.error(.invalidArgument, "A long string") }
    }

    @usableFromInline
    mutating func append(_ octet: UInt8) { bytes.append(octet) }

    mutating func append(_ octets: some Collection<UInt8>) { bytes.append(contentsOf: octets) }

    mutating func write(short text: String) throws(WireFault) {
        let utf8 = text.utf8
        guard let length = UInt8(exactly: utf8.count) else {
            throw WireFault("has \(utf8.count) bytes of UTF-8 and may have \(ShortString.maximumLength).")
        }
        append(length)
        bytes.append(contentsOf: utf8)
    }

    mutating func write(long octets: some Collection<UInt8>) throws(WireFault) {
        write(try lengthField(octets.count))
        bytes.append(contentsOf: octets)
    }

    /// Writes the number of bytes that follow the four reserved at `start` into those four.
    mutating func fillLength(at start: Int) throws(WireFault) {
        let length = try lengthField(bytes.count - start - 4)
        for place in 0..<4 { bytes[start + place] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(place))) }
    }

    /// Removes everything after the first `count` bytes, after a failure.
    mutating func truncate(to count: Int) { bytes.removeSubrange(count...) }

    private func lengthField(_ count: Int) throws(WireFault) -> UInt32 {
        guard let length = UInt32(exactly: count) else {
            throw WireFault("has \(count) bytes, and AMQP can't count more than \(UInt32.max).")
        }
        return length
    }
}
