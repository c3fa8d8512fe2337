import AMQP
public import ArgumentParser
import Foundation
import Warren

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

/// How a command prints what it found.
public struct OutputOptions: ParsableArguments {
    /// True if JSON is wanted.
    @Flag(name: .customLong("json"), help: "Print JSON, one object a line, instead of a table.")
    public var isJSON = false

    /// The option not given.
    public init() {}
}

/// An error as the one line that a person reads: what happened and what to do.
enum ErrorLine {
    /// The line for an error of Warren's, the broker's or the file system's; `nil` for others, which argument parsing knows how to show.
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

    /// The message, and those of the errors behind it.
    private static func message(of error: WarrenError) -> String {
        guard let underlying = error.underlying else { return error.message }
        return "\(error.message) \(text(for: underlying) ?? "\(underlying)")"
    }

    /// What is wrong, and with which file.
    private static func message(of error: CocoaError) -> String {
        [error.filePath ?? error.url?.path, error.localizedDescription].compactMap(\.self).joined(separator: ": ")
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
