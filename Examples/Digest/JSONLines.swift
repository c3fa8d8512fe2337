import Foundation

/// Files of JSON, one value per line: the workers' results, and the ledger of enqueued jobs.
enum JSONLines {
    /// One line, with its newline at the end and nowhere else: a newline in a path is written as `\n`.
    static func line(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value) + Data("\n".utf8)
    }

    /// The values of all lines in a file.
    static func read<Value: Decodable>(_ type: Value.Type, path: String) throws -> [Value] {
        let decoder = JSONDecoder()
        return try lines(of: try Data(contentsOf: URL(fileURLWithPath: path))).map {
            try decoder.decode(type, from: $0)
        }
    }

    /// The values of all complete lines that can be decoded.
    static func readable<Value: Decodable>(_ type: Value.Type, from data: Data) -> [Value] {
        let decoder = JSONDecoder()
        let whole = data.lastIndex(of: UInt8(ascii: "\n")).map { data[..<$0] } ?? Data()
        return lines(of: whole).compactMap { try? decoder.decode(type, from: $0) }
    }

    private static func lines(of data: Data) -> [Data] { data.split(separator: UInt8(ascii: "\n")) }
}

/// A file to which lines are appended, each written to the operating system before the call returns.
///
/// A line thus survives a crash of the process, though not of the machine.
struct LineFile {
    private let handle: FileHandle

    /// Opens a file for appending, and creates it if it does not exist.
    ///
    /// Ends an incomplete last line, which a killed process may have left, with a newline.
    init(path: String) throws {
        if !FileManager.default.fileExists(atPath: path) {
            try Data().write(to: URL(fileURLWithPath: path))
        }
        handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        let end = try handle.seekToEnd()
        guard end > 0 else { return }
        try handle.seek(toOffset: end - 1)
        if try handle.read(upToCount: 1) != Data("\n".utf8) { try handle.write(contentsOf: Data("\n".utf8)) }
    }

    func append(_ value: some Encodable) throws {
        try handle.write(contentsOf: try JSONLines.line(value))
    }
}
