import Foundation

/// Files of JSON, one value a line: the results of workers, and the ledger of what was enqueued.
enum JSONLines {
    /// One line with its end: a newline in a path is written as `\n`, so it has no other.
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

    /// The values of all whole lines that are such values.
    static func readable<Value: Decodable>(_ type: Value.Type, from data: Data) -> [Value] {
        let decoder = JSONDecoder()
        let whole = data.lastIndex(of: UInt8(ascii: "\n")).map { data[..<$0] } ?? Data()
        return lines(of: whole).compactMap { try? decoder.decode(type, from: $0) }
    }

    private static func lines(of data: Data) -> [Data] { data.split(separator: UInt8(ascii: "\n")) }
}
