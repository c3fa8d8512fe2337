import Foundation

/// Messages to the person at the terminal, on standard error, so that standard output holds only results.
enum Console {
    private static let isTerminal = isatty(STDERR_FILENO) == 1

    /// Prints a warning.
    static func warn(_ text: String) { write("warren-load: \(text)\n") }

    /// Shows the current activity in one line that the next call overwrites; does nothing without a terminal.
    static func showStatus(_ text: String) {
        if isTerminal { write("\r\u{1B}[K\(text)…") }
    }

    /// Removes the line of ``showStatus(_:)``.
    static func clearStatus() {
        if isTerminal { write("\r\u{1B}[K") }
    }

    private static func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
