import AMQP
public import ArgumentParser
import Foundation
import Warren

/// Prints a command's result to standard output, and everything else to standard error.
public enum Output {
    /// Writes a line to standard output, unbuffered and in one piece.
    public static func line(_ text: String) {
        write(text, to: .standardOutput)
    }

    /// Writes a line to standard error, for the person at the terminal.
    public static func note(_ text: String) {
        write(text, to: .standardError)
    }

    private static func write(_ text: String, to file: FileHandle) {
        // If nobody reads it any more there is no other place to report that.
        try? file.write(contentsOf: Data((text + "\n").utf8))
    }

    /// Writes a value to standard output as one line of JSON: keys in alphabetical order, dates in ISO 8601.
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

/// The option that selects the format of a command's output.
public struct OutputOptions: ParsableArguments {
    /// True if to print JSON.
    @Flag(name: .customLong("json"), help: "Print JSON, one object per line, instead of a table.")
    public var isJSON = false

    /// Creates the command, for its parser.
    public init() {}
}

/// Formats an error as one line that states what happened and what to do.
enum ErrorLine {
    /// Returns the line for an error of Warren, the broker or the file system; `nil` for others, which ArgumentParser
    /// formats.
    static func text(for error: any Error) -> String? {
        switch error {
        case let error as AMQPError: oneLine(error.message)
        case let error as WarrenError: oneLine(message(of: error))
        case let error as JobFailure: oneLine(error.message)
        case let error as EnvelopeError: oneLine(error.message)
        case let error as CocoaError: oneLine(message(of: error))
        default: nil
        }
    }

    /// Returns the error's message, followed by those of its underlying errors.
    private static func message(of error: WarrenError) -> String {
        guard let underlying = error.underlying else { return error.message }
        return "\(error.message) \(text(for: underlying) ?? "\(underlying)")"
    }

    /// Returns the error's description, preceded by the path of its file.
    private static func message(of error: CocoaError) -> String {
        [error.filePath ?? error.url?.path, error.localizedDescription].compactMap(\.self).joined(separator: ": ")
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
