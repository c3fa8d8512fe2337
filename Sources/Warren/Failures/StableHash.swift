/// A hash that is the same in every process: 64-bit FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>).
///
/// Not for protection: who chooses the text can choose the hash.
enum StableHash {
    /// The hash of a text's UTF-8 bytes as 16 hexadecimal digits.
    static func text(of text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
