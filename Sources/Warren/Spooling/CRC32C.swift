/// The checksum of the spool's records: CRC-32C (Castagnoli), as iSCSI and ext4 use it.
struct CRC32C {
    /// The remainder of each byte by the reflected polynomial.
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { remainder, _ in
            remainder & 1 == 1 ? remainder >> 1 ^ 0x82F6_3B78 : remainder >> 1
        }
    }

    private var remainder: UInt32 = .max

    /// The checksum of what was taken in so far.
    var value: UInt32 { ~remainder }

    mutating func update(_ bytes: some Sequence<UInt8>) {
        let table = Self.table
        var remainder = remainder
        for byte in bytes { remainder = table[Int(UInt8(truncatingIfNeeded: remainder) ^ byte)] ^ remainder >> 8 }
        self.remainder = remainder
    }

    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var sum = CRC32C()
        sum.update(bytes)
        return sum.value
    }
}
