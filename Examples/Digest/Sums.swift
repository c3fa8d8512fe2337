import Foundation

/// The output of `sha256sum` or `shasum -a 256`, with which results are compared.
struct Sums {
    /// A line that neither program writes.
    struct Unreadable: Error, CustomStringConvertible {
        let line: Int
        var description: String { "Line \(line) is not a line of sha256sum." }
    }

    private(set) var digests: [FilePath: String] = [:]

    /// Reads lines such as `e3b0c4…  /path`.
    ///
    /// If a line begins with a backslash, its path has `\n` for a newline, `\r` for a carriage return, `\\` for a
    /// backslash.
    init(reading data: Data) throws {
        for (number, line) in data.split(separator: UInt8(ascii: "\n")).enumerated() {
            guard let (path, digest) = Self.entry(line) else { throw Unreadable(line: number + 1) }
            digests[path] = digest
        }
    }

    private static func entry(_ line: Data) -> (FilePath, String)? {
        var line = line
        let isEscaped = line.first == UInt8(ascii: "\\")
        if isEscaped { line = line.dropFirst() }
        let digest = line.prefix(64)
        // Two spaces, or in binary mode a space and an asterisk.
        let rest = line.dropFirst(64)
        guard digest.count == 64, rest.count > 2, rest.first == UInt8(ascii: " ") else { return nil }
        let path = rest.dropFirst(2)
        return (FilePath(bytes: isEscaped ? unescaped(path) : Array(path)), String(decoding: digest, as: UTF8.self))
    }

    private static func unescaped(_ path: Data) -> [UInt8] {
        var result: [UInt8] = []
        var bytes = path.makeIterator()
        while let byte = bytes.next() {
            guard byte == UInt8(ascii: "\\"), let escaped = bytes.next() else {
                result.append(byte)
                continue
            }
            switch escaped {
            case UInt8(ascii: "n"): result.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "r"): result.append(UInt8(ascii: "\r"))
            default: result.append(escaped)
            }
        }
        return result
    }
}
