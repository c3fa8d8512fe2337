public import ArgumentParser
import Foundation
public import Logging

/// The form of the lines that a command logs.
public struct LogFormat: ExpressibleByArgument, Sendable, Hashable {
    private let name: String

    /// Text for people, in the form of swift-log's `StreamLogHandler`.
    public static let text = LogFormat(name: "text")
    /// A JSON object a line, for programs that collect logs: `time`, `level`, `label`, `message`, `metadata`.
    public static let json = LogFormat(name: "json")

    private init(name: String) { self.name = name }

    /// Parses a format; `nil` if there is none of this name.
    public init?(argument: String) {
        guard Self.allValueStrings.contains(argument) else { return nil }
        name = argument
    }

    /// The names of all formats.
    public static let allValueStrings = ["text", "json"]

    /// The format's name.
    public var defaultValueDescription: String { name }

    /// Creates a log handler that writes lines of this form to standard error.
    ///
    /// - Parameters:
    ///   - label: The logger's label.
    ///   - level: The lowest level to log.
    public func handler(label: String, level: Logger.Level) -> any LogHandler {
        LineLogHandler(label: label, logLevel: level, format: self) { LineWriter.standardError.write($0) }
    }
}

/// Logs each event as one line.
struct LineLogHandler: LogHandler {
    let label: String
    let format: LogFormat
    var logLevel: Logger.Level
    var metadata = Logger.Metadata()
    var metadataProvider: Logger.MetadataProvider?
    private let write: @Sendable (Data) -> Void

    /// - Parameter write: Gets each line, with its end.
    init(
        label: String,
        logLevel: Logger.Level,
        format: LogFormat,
        write: @escaping @Sendable (Data) -> Void
    ) {
        self.label = label
        self.format = format
        self.logLevel = logLevel
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        for more in [metadataProvider?.get(), event.metadata].compactMap(\.self) { all.merge(more) { $1 } }
        if let error = event.error, all["error"] == nil { all["error"] = "\(error)" }
        write(format == .json ? json(event, all) : text(event, all))
    }

    private func text(_ event: LogEvent, _ metadata: Logger.Metadata) -> Data {
        let time = Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        let words = metadata.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }
        let parts = ["\(time) \(event.level) \(label):"] + words + ["[\(event.source)]", "\(event.message)"]
        return Data((parts.joined(separator: " ").replacing("\n", with: "\\n") + "\n").utf8)
    }

    private func json(_ event: LogEvent, _ metadata: Logger.Metadata) -> Data {
        let line = Line(
            time: Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)),
            level: event.level.rawValue,
            label: label,
            message: "\(event.message)",
            metadata: metadata.mapValues(Value.init)
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Texts always encode.
        guard let data = try? encoder.encode(line) else { preconditionFailure("A log line can't be encoded.") }
        return data + Data("\n".utf8)
    }

    private struct Line: Encodable {
        let time: String
        let level: String
        let label: String
        let message: String
        let metadata: [String: Value]
    }

    /// A metadata value: texts, and arrays and objects of them.
    private struct Value: Encodable {
        let value: Logger.Metadata.Value

        init(_ value: Logger.Metadata.Value) { self.value = value }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch value {
            case .string(let text): try container.encode(text)
            case .stringConvertible(let value): try container.encode("\(value)")
            case .array(let values): try container.encode(values.map(Value.init))
            case .dictionary(let values): try container.encode(values.mapValues(Value.init))
            }
        }
    }
}
