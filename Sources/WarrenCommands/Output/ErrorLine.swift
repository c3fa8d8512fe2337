import AMQP
import Foundation
import Warren

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
