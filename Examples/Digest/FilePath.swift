/// A path, the same only if all its bytes are.
///
/// Swift's strings are the same if they look the same: `é` in one character and in two. To a Linux file system those are two names.
struct FilePath: Hashable, Codable, Sendable, Comparable, CustomStringConvertible {
    let bytes: [UInt8]

    init(_ text: String) { bytes = Array(text.utf8) }

    init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(String.self))
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// False for a name that no text can hold, which a Linux file system takes all the same.
    var isText: Bool { String(validating: bytes, as: UTF8.self) != nil }

    var description: String { String(decoding: bytes, as: UTF8.self) }

    static func < (one: FilePath, other: FilePath) -> Bool { one.bytes.lexicographicallyPrecedes(other.bytes) }
}
