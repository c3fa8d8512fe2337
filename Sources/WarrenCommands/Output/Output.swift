import Foundation

/// Prints to standard output, and to standard error what isn't the command's result.
public enum Output {
    /// Writes a line to standard output at once, whole.
    public static func line(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    /// Writes a line to standard error: news for the person at the terminal.
    public static func note(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    /// Writes a value as one line of JSON, keys in alphabetical order, dates in ISO 8601.
    public static func json(_ value: some Encodable) throws {
        line(try jsonText(value))
    }

    static func jsonText(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
