/// Reads AMQP's elementary types from bytes, one after another.
///
/// The bytes may come from anyone: whatever they are, reading yields a value or an error. Discard the reader after an
/// error.
package struct WireReader: Sendable {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    /// The end of the part being read: that of the bytes, or of the innermost table or array.
    private var end: Int

    /// Creates a reader at the first of these bytes.
    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
        end = bytes.endIndex
    }

    /// Creates a reader at the first of these bytes.
    package init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    /// The number of bytes left to read.
    package var remaining: Int { end - position }

    /// Reads an integer in network order.
    ///
    /// - Throws: `malformed` if the bytes end before it does.
    package mutating func read<Number: FixedWidthInteger>(_ type: Number.Type) throws(AMQPError) -> Number {
        do throws(WireFault) { return try number() } catch { throw error.error(.malformed, "An integer") }
    }

    /// Reads a short string: a length in one byte, then UTF-8.
    ///
    /// - Throws: `malformed` if the bytes end before it does, or are not UTF-8.
    package mutating func readShortString() throws(AMQPError) -> String {
        do throws(WireFault) { return try shortString() } catch { throw error.error(.malformed, "A short string") }
    }

    /// Reads a long string: a length in four bytes, then bytes of any kind.
    ///
    /// - Throws: `malformed` if the bytes end before it does.
    package mutating func readLongString() throws(AMQPError) -> ArraySlice<UInt8> {
        do throws(WireFault) { return try longString() } catch { throw error.error(.malformed, "A long string") }
    }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(WireFault) -> Number {
        let octets = try take(Number.bitWidth / 8)
        var number: Number = 0
        for octet in octets { number = number << 8 | Number(truncatingIfNeeded: octet) }
        return number
    }

    mutating func shortString() throws(WireFault) -> String {
        let octets = try take(Int(number(UInt8.self)))
        guard let text = Self.text(octets) else { throw WireFault("is not UTF-8.") }
        return text
    }

    /// The octets as text; `nil` if they are not UTF-8.
    ///
    /// `String(validating:as:)` looks up types at run time, which took a third of all decoding; nearly all text is
    /// ASCII.
    static func text(_ octets: ArraySlice<UInt8>) -> String? {
        octets.allSatisfy { $0 < 128 }
            ? String(decoding: octets, as: UTF8.self) : String(validating: octets, as: UTF8.self)
    }

    mutating func longString() throws(WireFault) -> ArraySlice<UInt8> {
        try take(Int(number(UInt32.self)))
    }

    /// Reads a length in four bytes and narrows the reader to that many bytes; ``widen(to:)`` with the result undoes
    /// it.
    mutating func narrow() throws(WireFault) -> Int {
        let length = Int(try number(UInt32.self))
        guard length <= remaining else { throw WireFault("says it has \(length) bytes, and \(remaining) are left.") }
        let outer = end
        end = position + length
        return outer
    }

    mutating func widen(to outer: Int) { end = outer }

    /// The bytes left to read.
    var rest: ArraySlice<UInt8> { bytes[position..<end] }

    mutating func skipRest() { position = end }

    private mutating func take(_ count: Int) throws(WireFault) -> ArraySlice<UInt8> {
        guard count <= remaining else { throw WireFault("needs \(count) bytes, and \(remaining) are left.") }
        let start = position
        position += count
        return bytes[start..<position]
    }

    func expectEnd(after what: String) throws(AMQPError) {
        guard remaining == 0 else {
            throw AMQPError(.malformed, "\(what) is followed by \(remaining) bytes that are not part of it.")
        }
    }
}
