import Foundation

/// What `sha256sum`, or `shasum -a 256`, says about files: the truth that results are held against.
struct Sums {
    /// A line that is none of theirs.
    struct Unreadable: Error, CustomStringConvertible {
        let line: Int
        var description: String { "Line \(line) is not one of sha256sum." }
    }

    private(set) var digests: [FilePath: String] = [:]

    /// Reads lines such as `e3b0c4…  /path`.
    ///
    /// A line that begins with a backslash has a path in which a newline is written `\n`, a carriage return `\r`, a backslash `\\`.
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
        // Two blanks, or in binary mode a blank and a star.
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
